"""Films in with PyAV: frames in the order of time, one at a time, and what a file says of them."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from .colors import Colors, FilmError

if TYPE_CHECKING:
    import av

Span = tuple[float, float]
"""From a time to before another, in seconds as a film counts them."""

# What FFmpeg may take a file for, whatever its name says: films, none of which names other files or addresses.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,gif,apng"
# Codecs whose every packet is a frame that is shown.
_FRAME_BY_FRAME = {"h264", "hevc", "vp9", "av1"}
# AVIF and HEIF are .mp4 by their structure.
_PICTURE_BRANDS = {"avif", "avis", "heic", "heix", "hevc", "mif1", "msf1"}
# How much earlier than its header says a film may end, in seconds; headers are rounded.
_SLACK = 0.5


def duration_of(path: Path) -> float:
    """How long a film is by its header, in seconds; 0 where that does not say.

    Raises:
        FilmError: the file is missing, damaged or no film, or PyAV is not installed.
    """
    with open_film(path) as film:
        video = film.streams.video[0]
        if video.duration and video.time_base:
            return float(video.duration * video.time_base)
        return (film.duration or 0) / 1e6


def count_frames(path: Path, span: Span | None = None) -> int:
    """How many frames a film has, all or within a span, whatever its header says; it is read to its end, but not
    decoded.

    Raises:
        FilmError: as :func:`duration_of`.
    """
    times = _frame_times(path)
    return sum(span is None or (time is not None and span[0] <= time < span[1]) for time in times)


def frame_times(path: Path) -> list[float]:
    """When each frame of a film is shown, in seconds as the file counts them; it is read to its end, but not decoded.

    Raises:
        FilmError: as :func:`duration_of`.
    """
    return sorted(time for time in _frame_times(path) if time is not None)


def _frame_times(path: Path) -> list[float | None]:
    with open_film(path) as film:
        video = film.streams.video[0]
        tick = video.time_base or 1 / rate_of(video)
        try:
            return [
                None if packet.pts is None else float(packet.pts * tick)
                for packet in film.demux(video)
                if packet.size > 0 and not packet.is_discard
            ]
        except av_errors() as error:
            raise FilmError(f"{path} cannot be read to its end: {error}.") from error


def check_end(path: Path) -> None:
    """Refuse a file that ends before its header says.

    Raises:
        FilmError: with both times; or the film cannot be read.
    """
    with open_film(path) as film:
        if not film.duration:
            return
        start, length, end = (film.start_time or 0) / 1e6, film.duration / 1e6, 0.0
        try:
            for packet in film.demux():
                if packet.size and packet.pts is not None and packet.time_base:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - start)
        except av_errors() as error:
            raise FilmError(f"{path} cannot be read to its end: {error}.") from error
    if end < 0.99 * length - _SLACK:
        raise FilmError(
            f"{path} is damaged: it should last {length:.1f} s and ends after {end:.1f} s; put what is there into a new"
            " file first, for instance with ffmpeg -i."
        )


def read_frames(path: Path, span: Span | None = None) -> Iterator[Tensor]:
    """The frames [1, 3, H, W] of a film in 0..1, upright, all or those within a span; one at a time is in memory.

    Raises:
        FilmError: the film cannot be read, or PyAV is not installed.
    """
    with open_film(path) as film:
        video = film.streams.video[0]
        colors = Colors.of(video)
        start, end = span or (0.0, math.inf)
        try:
            for _, frame in decode(film, video, start=start):
                if frame:
                    if (frame.time or 0.0) >= end:
                        return
                    yield colors.to_tensor(frame)
        except av_errors() as error:
            raise FilmError(f"{path} cannot be read to its end: {error}.") from error


def read_masks(path: Path, span: Span | None = None) -> Generator[Tensor, None, None]:
    """The frames of a film as masks [1, H, W], all or those within a span; compression leaves black and white a little
    off, which is put right.

    Raises:
        FilmError: as :func:`read_frames`.
    """
    return (((frame.mean(dim=1) - 0.02) / 0.96).clamp(0, 1) for frame in read_frames(path, span))


def one_for_each(masks: Iterator[Tensor], name: object) -> Callable[[int], Tensor]:
    """Masks one after the other as those of frames by their numbers, which are asked for once and in order.

    Args:
        masks: [1, H, W] each.
        name: of where they come from, for the error.

    Raises:
        FilmError: (when called) there are no more.
    """

    def at(number: int) -> Tensor:
        mask = next(masks, None)
        if mask is None:
            raise FilmError(f"{name} ends before the film; give a mask for each frame, or one image for all.")
        return mask

    return at


def decode(
    film: av.container.InputContainer, video: av.VideoStream, *others: av.stream.Stream, start: float = 0.0
) -> Iterator[tuple[av.Packet, av.VideoFrame | None]]:
    """The frames of a film from a time in seconds on, each with the packet that completed it, and between them the
    packets of other streams, of which some may be earlier.

    Raises:
        FilmError: a frame is damaged or missing. Some films lack the first frames that their packets promise, since
            someone cut them; that is no damage.
    """
    # Several threads hide errors of the frames in flight.
    video.codec_context.thread_count = 1
    tick = video.time_base or 1 / rate_of(video)
    if start:
        film.seek(int(start / tick), stream=video)
    due: set[int] = set()
    first, interlaced = None, False
    for packet in film.demux(video, *others):
        if packet.stream.index != video.index:
            yield packet, None
            continue
        if packet.size and packet.pts is not None and not packet.is_discard:
            due.add(packet.pts)
        for frame in video.decode(packet):
            if frame.is_corrupt or packet.is_corrupt:
                raise FilmError(f"The film is damaged at {frame.time or 0:.2f} s; cut that part out first.")
            if frame.pts is not None:
                due.discard(frame.pts)
                first = frame.pts if first is None else min(first, frame.pts)
            # The halves of a picture may come in two packets.
            interlaced |= frame.interlaced_frame
            if not start or frame.pts is None or float(frame.pts * tick) >= start:
                yield packet, frame
    lost = [time for time in due if first is None or time > first]
    if lost and video.codec_context.codec.canonical_name in _FRAME_BY_FRAME and not interlaced:
        raise FilmError(f"The film is damaged: it lacks {len(lost)} frames from {float(min(lost) * tick):.2f} s on.")


def rate_of(video: av.VideoStream) -> Fraction:
    """Frames per second, 25 where a film does not say."""
    return video.average_rate or video.guessed_rate or Fraction(25)


def open_film(path: Path) -> av.container.InputContainer:
    """A film of a kind that FFmpeg reads from one file.

    Raises:
        FilmError: it is not there, cannot be read, has no moving pictures, or PyAV is not installed.
    """
    errors = av_errors()
    import av

    if not path.is_file():
        raise FilmError(f"There is no film {path}.")
    try:
        # For FFmpeg what is before a colon is a protocol, but not in a path from the root.
        film = av.open(str(path.absolute()), options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"})
    except errors as error:
        if getattr(error, "errno", None) == errno.EINVAL:  # for what is not on the list
            raise _no_film(path) from error
        raise FilmError(f"{path} cannot be read as a film: {error}.") from error
    if not film.streams.video:
        film.close()
        raise FilmError(f"{path} has no pictures, only sound.")
    if film.metadata.get("major_brand", "").strip() in _PICTURE_BRANDS:
        film.close()
        raise _no_film(path)
    return film


def _no_film(path: Path) -> FilmError:
    return FilmError(
        f"{path} is a picture, a list of other files, or moves in a way that FFmpeg does not read: 'adain stylize'"
        " takes pictures; save an animated WebP or AVIF or the pages of a TIFF as an animated PNG or GIF, or as a film."
    )


def av_errors() -> tuple[type[Exception], ...]:
    """What FFmpeg raises.

    Raises:
        FilmError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise FilmError("Films need PyAV; install it with: pip install av") from error
    return (av.error.FFmpegError,)
