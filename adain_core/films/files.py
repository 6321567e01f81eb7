"""Films in and out with PyAV: every frame through a function, everything else as it was."""

from __future__ import annotations

import io
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..runtime.files import unique_beside
from ..runtime.progress import Progress, ignore_progress
from .colors import Colors, FilmError
from .reading import Span, av_errors, check_end, decode, open_film, rate_of

if TYPE_CHECKING:
    import av

FILM_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv")
FrameFunction = Callable[[Iterable[Tensor]], Iterable[Tensor]]
"""From frames [1, 3, H, W] in 0..1 in the order of time to as many results [B, 3, H, W], all of one size."""

_QUALITY = {"crf": "16", "preset": "medium"}


def check_sound(source: Path, target: Path) -> None:
    """Refuse a target that cannot hold a film's sound as it is.

    Raises:
        FilmError: with the sound's codec; or the film cannot be read.
    """
    errors: tuple[type[Exception], ...] = (ValueError, *av_errors())
    with open_film(source) as film:
        for sound in film.streams.audio:
            probe = io.BytesIO()
            probe.name = target.name  # the format follows from the suffix
            try:
                with _create(probe) as result:
                    copy = result.add_stream_from_template(sound)
                    result.start_encoding()
                    # Some kinds of film refuse what they announced.
                    for packet in film.demux(sound):
                        if packet.dts is not None:
                            packet.stream = copy
                            result.mux(packet)
                            break
            except errors as error:
                raise FilmError(
                    f"The sound of {source} is {sound.codec_context.name}, which {target.suffix} cannot hold as it is;"
                    " write another kind of film (.mkv holds most), or convert the sound to AAC first."
                ) from error


def convert_film(
    source: Path,
    target: Path,
    change: FrameFunction,
    span: Span | None = None,
    progress: Progress = ignore_progress,
    part: bool = False,
) -> None:
    """Change every frame of a film. Sound is copied, times of frames are kept, rotation is applied; what is written is
    H.264 in 8-bit 4:2:0 with the :class:`Colors` of the source, and with the last row or column doubled where a side
    is odd. Memory does not grow with the length.

    Args:
        source: any film that FFmpeg reads.
        target: .mp4, .mov, .m4v or .mkv, or a symbolic link to one; appears when all is done. When ``change`` or
            ``progress`` raises KeyboardInterrupt the frames so far, if there are any, appear beside it as
            ``NAME.partial``.
        change: from frames to results.
        span: only the frames and the whole packets of sound within it; they begin the result.
        progress: called with the share that is done.
        part: for :func:`join_films`: the span without the sound, at its times in the source. Where it has no frames,
            nothing is written.

    Raises:
        FilmError: a film cannot be read or written, lacks frames or has damaged ones, has a high dynamic range, or
            PyAV is not installed.
    """
    check_end(source)
    target = Path(os.path.realpath(target))
    if not part:
        check_sound(source, target)
    unfinished = unique_beside(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            with open_film(source) as film, _create(unfinished) as result:
                _Conversion(film, result, span, part, progress).run(change)
        except KeyboardInterrupt:
            if unfinished.exists() and not part:
                os.replace(unfinished, target.with_stem(f"{target.stem}.partial"))
            raise
        if unfinished.exists():
            os.replace(unfinished, target)
        elif not part:
            raise FilmError(f"{source} has no frames{f' between {span[0]:g} and {span[1]:g} s' if span else ''}.")
    except av_errors() as error:
        raise FilmError(f"{source} could not be made into {target}: {error}.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def join_films(parts: Iterable[Path], source: Path, target: Path) -> None:
    """Put films that :func:`convert_film` made of successive spans one after the other, with the source's sound.

    Raises:
        FilmError: a part cannot be read, or the target not be written.
    """
    temporary = unique_beside(target)
    video = None
    try:
        with open_film(source) as sound, _create(temporary) as result:
            copies = _copy_audio_streams(sound, result)
            for path in parts:
                with open_film(path) as part:
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
    except av_errors() as error:
        raise FilmError(f"The parts of {target} could not be joined: {error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


class _Conversion:
    """One film on its way into another."""

    def __init__(
        self,
        film: av.container.InputContainer,
        result: av.container.OutputContainer,
        span: Span | None,
        part: bool,
        progress: Progress,
    ) -> None:
        self.film, self.result, self.progress = film, result, progress
        self.start, self.end = span or (0.0, math.inf)
        self.shift = 0.0 if part else self.start
        self.source = film.streams.video[0]
        self.colors = Colors.of(self.source)
        self.video = result.add_stream("libx264", rate=rate_of(self.source), options=_QUALITY)
        self.tick = self.source.time_base or 1 / rate_of(self.source)
        self.video.codec_context.time_base = self.tick
        self.copies = {} if part else _copy_audio_streams(film, result)
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
        for packet, frame in decode(self.film, self.source, *self.copies, start=self.start):
            if frame is None:
                self._copy(packet)
                continue
            if frame.pts is None:
                raise FilmError("The film has a frame without a time; put it into a container such as .mp4 first.")
            time = float(frame.pts * self.tick)
            if time >= self.end:
                self._copy_rest()
                break
            length = min(self.end, self.length or self.end) - self.start
            self.progress(min(1.0, (time - self.start) / max(1e-9, length)))
            self.times.append(frame.pts - round(self.shift / self.tick))
            yield self.colors.to_tensor(frame)
        self.progress(1.0)

    def _write(self, picture: Tensor) -> None:
        frame = self.colors.to_frame(picture)
        context = self.video.codec_context
        if not self.started:
            context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
            self.colors.tag(context)
        elif (frame.width, frame.height) != (context.width, context.height):
            raise FilmError(
                f"The film's pictures change their size at {float(self.times[0] * self.tick):.2f} s, which results"
                " cannot; cut it there, and stylize the parts one by one."
            )
        frame.pts, frame.time_base = self.times.popleft(), self.tick
        packets = self.video.encode(frame)
        self.started = True
        self.result.mux([*self.waiting, *packets])
        self.waiting.clear()

    def _copy(self, packet: av.Packet) -> None:
        """Pass a packet of sound on, if it is within the span; the empty one at the end carries nothing."""
        if packet.dts is None:
            return
        time = float(packet.dts * packet.time_base)
        if time >= self.end or (self.start and time < self.start):
            return
        shift = round(self.shift / packet.time_base)
        packet.dts -= shift
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.stream = self.copies[packet.stream]
        if self.started:
            self.result.mux(packet)
        else:
            self.waiting.append(packet)

    def _copy_rest(self) -> None:
        """Sound of the span's end may follow on the pictures after it."""
        missing = set(self.copies)
        for packet in self.film.demux(*self.copies) if self.copies else ():
            if packet.dts is not None and float(packet.dts * packet.time_base) >= self.end:
                missing.discard(packet.stream)
                if not missing:
                    return
            else:
                self._copy(packet)


def _copy_audio_streams(
    film: av.container.InputContainer, result: av.container.OutputContainer
) -> dict[av.stream.Stream, av.stream.Stream]:
    return {stream: result.add_stream_from_template(stream) for stream in film.streams.audio}


def _create(target: Path | io.BytesIO) -> av.container.OutputContainer:
    import av

    return av.open(target, "w")
