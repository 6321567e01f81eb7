"""Films in and out with PyAV: every frame through a function, everything else as it was."""

from __future__ import annotations

import errno
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..runtime.files import unique_beside
from ..runtime.progress import Progress, ignore_progress
from .colors import Colors, VideoError

if TYPE_CHECKING:
    import av

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv")
FrameFunction = Callable[[Iterable[Tensor]], Iterable[Tensor]]
"""From frames [1, 3, H, W] in 0..1 in the order of time to as many results [B, 3, H, W], all of one size."""

_QUALITY = {"crf": "16", "preset": "medium"}
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
        VideoError: the file is missing, damaged or no film, or PyAV is not installed.
    """
    with _open(path) as film:
        video = film.streams.video[0]
        if video.duration and video.time_base:
            return float(video.duration * video.time_base)
        return (film.duration or 0) / 1e6


def count_frames(path: Path) -> int:
    """How many frames a film has, whatever its header says; it is read to its end, but not decoded.

    Raises:
        VideoError: as :func:`duration_of`.
    """
    return len(_frame_times(path))


def frame_times(path: Path) -> list[float]:
    """When each frame of a film is shown, in seconds as the file counts them; it is read to its end, but not decoded.

    Raises:
        VideoError: as :func:`duration_of`.
    """
    return sorted(time for time in _frame_times(path) if time is not None)


def _frame_times(path: Path) -> list[float | None]:
    with _open(path) as film:
        video = film.streams.video[0]
        tick = video.time_base or 1 / _rate(video)
        try:
            packets = [packet for packet in film.demux(video) if packet.size > 0 and not packet.is_discard]
        except _errors() as error:
            raise VideoError(f"{path} cannot be read to its end: {error}.") from error
        return [None if packet.pts is None else float(packet.pts * tick) for packet in packets]


def _check_end(path: Path) -> None:
    """Refuse a file that ends before its header says.

    Raises:
        VideoError: with both times; or the film cannot be read.
    """
    with _open(path) as film:
        if not film.duration:
            return
        start, length, end = (film.start_time or 0) / 1e6, film.duration / 1e6, 0.0
        try:
            for packet in film.demux():
                if packet.size and packet.pts is not None and packet.time_base:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - start)
        except _errors() as error:
            raise VideoError(f"{path} cannot be read to its end: {error}.") from error
    if end < 0.99 * length - _SLACK:
        raise VideoError(
            f"{path} is damaged: it should last {length:.1f} s and ends after {end:.1f} s; put what is there into a new"
            " file first, for instance with ffmpeg -i."
        )


def check_sound(source: Path, target: Path) -> None:
    """Refuse a target that cannot hold a film's sound as it is.

    Raises:
        VideoError: with the sound's codec; or the film cannot be read.
    """
    errors: tuple[type[Exception], ...] = (ValueError, *_errors())
    with _open(source) as film:
        for sound in film.streams.audio:
            probe = io.BytesIO()
            probe.name = target.name  # the format follows from the suffix
            try:
                with _create(probe) as result:
                    result.add_stream_from_template(sound)
                    result.start_encoding()
            except errors as error:
                raise VideoError(
                    f"The sound of {source} is {sound.codec_context.name}, which {target.suffix} cannot hold as it is;"
                    " write another kind of film (.mkv holds most), or convert the sound to AAC first."
                ) from error


def read_frames(path: Path) -> Iterator[Tensor]:
    """The frames [1, 3, H, W] of a film in 0..1, upright; one at a time is in memory.

    Raises:
        VideoError: the film cannot be read, or PyAV is not installed.
    """
    with _open(path) as film:
        video = film.streams.video[0]
        colors = Colors.of(video)
        try:
            for _, frame in _decode(film, video):
                if frame:
                    yield colors.to_tensor(frame)
        except _errors() as error:
            raise VideoError(f"{path} cannot be read to its end: {error}.") from error


def convert_film(
    source: Path,
    target: Path,
    change: FrameFunction,
    span: tuple[float, float] | None = None,
    progress: Progress = ignore_progress,
) -> None:
    """Change every frame of a film. Sound is copied, times of frames are kept, rotation is applied; what is written is
    H.264 in 8-bit 4:2:0 with the :class:`Colors` of the source, and with the last row or column doubled where a side
    is odd. Memory does not grow with the length.

    Args:
        source: any film that FFmpeg reads.
        target: .mp4, .mov, .m4v or .mkv; appears when all is done. When ``change`` or ``progress`` raises
            KeyboardInterrupt the frames so far, if there are any, appear there, or as ``NAME.partial`` beside a target
            that exists.
        change: from frames to results.
        span: only the frames from the first to before the second time, in seconds, without the sound; where there are
            none, nothing is written.
        progress: called with the share that is done.

    Raises:
        VideoError: a film cannot be read or written, lacks frames or has damaged ones, has a high dynamic range, or
            PyAV is not installed.
    """
    _check_end(source)
    if span is None:
        check_sound(source, target)
    part = unique_beside(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            with _open(source) as film, _create(part) as result:
                _Conversion(film, result, span, progress).run(change)
        except KeyboardInterrupt:
            if part.exists():
                os.replace(part, target.with_stem(f"{target.stem}.partial") if target.exists() else target)
            raise
        if part.exists():
            os.replace(part, target)
        elif span is None:
            raise VideoError(f"{source} has no frames.")
    except _errors() as error:
        raise VideoError(f"{source} could not be made into {target}: {error}.") from error
    finally:
        part.unlink(missing_ok=True)


def join_films(parts: Iterable[Path], source: Path, target: Path) -> None:
    """Put films that :func:`convert_film` made of successive spans one after the other, with the source's sound.

    Raises:
        VideoError: a part cannot be read, or the target not be written.
    """
    temporary = unique_beside(target)
    video = None
    try:
        with _open(source) as sound, _create(temporary) as result:
            copies = _copy_audio_streams(sound, result)
            for path in parts:
                with _open(path) as part:
                    video = video or result.add_stream_from_template(part.streams.video[0])
                    for packet in part.demux(part.streams.video[0]):
                        if packet.dts is not None:
                            packet.stream = video
                            result.mux(packet)
            for heard in sound.demux(*copies) if copies else ():
                if heard.dts is not None:
                    heard.stream = copies[heard.stream]
                    result.mux(heard)
        os.replace(temporary, target)
    except _errors() as error:
        raise VideoError(f"The parts of {target} could not be joined: {error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


class _Conversion:
    """One film on its way into another."""

    def __init__(
        self,
        film: av.container.InputContainer,
        result: av.container.OutputContainer,
        span: tuple[float, float] | None,
        progress: Progress,
    ) -> None:
        self.film, self.result, self.span, self.progress = film, result, span, progress
        self.source = film.streams.video[0]
        self.colors = Colors.of(self.source)
        self.video = result.add_stream("libx264", rate=_rate(self.source), options=_QUALITY)
        self.tick = self.source.time_base or 1 / _rate(self.source)
        self.video.codec_context.time_base = self.tick
        self.copies = _copy_audio_streams(film, result) if span is None else {}
        self.times: deque[int] = deque()
        # The first packet of any stream writes the header and fixes the pictures' size, so sound waits for it.
        self.waiting: list[av.Packet] = []
        self.started = False
        self.length = film.duration / 1e6 if film.duration else 0.0

    def run(self, change: FrameFunction) -> None:
        try:
            for batch in change(self._frames()):
                for picture in batch.split(1):
                    self._write(picture)
        finally:
            # What was encoded so far makes a playable film whatever happened.
            if self.started:
                self.result.mux(self.video.encode())

    def _frames(self) -> Iterator[Tensor]:
        start, end = self.span or (0.0, float("inf"))
        if start:
            self.film.seek(int(start / self.tick), stream=self.source)
        for packet, frame in _decode(self.film, self.source, *self.copies):
            if frame is None:
                self._copy(packet)
                continue
            if frame.pts is None:
                raise VideoError("The film has a frame without a time; put it into a container such as .mp4 first.")
            time = float(frame.pts * self.tick)
            if time >= end:
                return
            if time < start:
                continue
            reached = time - start
            self.progress(min(1.0, reached / max(1e-9, min(end, self.length or end) - start)))
            self.times.append(frame.pts)
            yield self.colors.to_tensor(frame)
        self.progress(1.0)

    def _write(self, picture: Tensor) -> None:
        frame = self.colors.to_frame(picture)
        context = self.video.codec_context
        if not self.started:
            context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
            self.colors.tag(context)
        frame.pts, frame.time_base = self.times.popleft(), self.tick
        packets = self.video.encode(frame)
        self.started = True
        self.result.mux([*self.waiting, *packets])
        self.waiting.clear()

    def _copy(self, packet: av.Packet) -> None:
        """Pass a packet of sound on; the empty one at the end carries nothing."""
        if packet.dts is None:
            return
        packet.stream = self.copies[packet.stream]
        if self.started:
            self.result.mux(packet)
        else:
            self.waiting.append(packet)


def _decode(
    film: av.container.InputContainer, video: av.VideoStream, *others: av.stream.Stream
) -> Iterator[tuple[av.Packet, av.VideoFrame | None]]:
    """The frames of a film, each with the packet that completed it, and between them the packets of other streams.

    Raises:
        VideoError: a frame is damaged or missing. Some films lack the first frames that their packets promise, since
            someone cut them; that is no damage.
    """
    # Several threads hide errors of the frames in flight.
    video.codec_context.thread_count = 1
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
                raise VideoError(f"The film is damaged at {frame.time or 0:.2f} s; cut that part out first.")
            if frame.pts is not None:
                due.discard(frame.pts)
                first = frame.pts if first is None else min(first, frame.pts)
            # The halves of a picture may come in two packets.
            interlaced |= frame.interlaced_frame
            yield packet, frame
    lost = [time for time in due if first is None or time > first]
    if lost and video.codec_context.codec.canonical_name in _FRAME_BY_FRAME and not interlaced:
        tick = video.time_base or 1
        raise VideoError(f"The film is damaged: it lacks {len(lost)} frames from {float(min(lost) * tick):.2f} s on.")


def _rate(video: av.VideoStream) -> Fraction:
    return video.average_rate or video.guessed_rate or Fraction(25)


def _copy_audio_streams(
    film: av.container.InputContainer, result: av.container.OutputContainer
) -> dict[av.stream.Stream, av.stream.Stream]:
    return {stream: result.add_stream_from_template(stream) for stream in film.streams.audio}


def _open(path: Path) -> av.container.InputContainer:
    errors = _errors()
    import av

    if not path.is_file():
        raise VideoError(f"There is no film {path}.")
    try:
        film = av.open(str(path), options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"})
    except errors as error:
        if getattr(error, "errno", None) == errno.EINVAL:  # for what is not on the list
            raise _no_film(path) from error
        raise VideoError(f"{path} cannot be read as a film: {error}.") from error
    if not film.streams.video:
        film.close()
        raise VideoError(f"{path} has no pictures, only sound.")
    if film.metadata.get("major_brand", "").strip() in _PICTURE_BRANDS:
        film.close()
        raise _no_film(path)
    return film


def _no_film(path: Path) -> VideoError:
    return VideoError(
        f"{path} is a picture, a list of other files, or moves in a way that FFmpeg does not read: 'adain stylize'"
        " takes pictures; save an animated WebP or AVIF or the pages of a TIFF as an animated PNG or GIF, or as a film."
    )


def _create(target: Path | io.BytesIO) -> av.container.OutputContainer:
    import av

    return av.open(target, "w")


def _errors() -> tuple[type[Exception], ...]:
    """What FFmpeg raises.

    Raises:
        VideoError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise VideoError("Films need PyAV; install it with: pip install av") from error
    return (av.error.FFmpegError,)
