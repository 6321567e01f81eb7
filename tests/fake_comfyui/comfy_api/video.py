"""ComfyUI's values of type VIDEO, with PyAV behind them as there."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass
class VideoComponents:
    images: Tensor
    frame_rate: Fraction
    audio: dict[str, Any] | None = None


class VideoInput:
    """What 0.3.64 and later versions share."""

    def get_components(self) -> VideoComponents:
        raise NotImplementedError

    def save_to(self, path: str | io.BytesIO, **options: Any) -> None:
        raise NotImplementedError

    def get_stream_source(self) -> str | io.BytesIO:
        buffer = io.BytesIO()
        self.save_to(buffer)
        buffer.seek(0)
        return buffer


class VideoFromFile(VideoInput):
    """Of 0.3.64."""

    def __init__(self, file: str | io.BytesIO) -> None:
        self._file = file

    def get_stream_source(self) -> str | io.BytesIO:
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        return self._file

    def get_components(self) -> VideoComponents:
        import av

        start, end = self._window()
        with av.open(self.get_stream_source()) as film:
            images = [
                torch.from_numpy(frame.to_ndarray(format="rgb24")).float() / 255
                for frame in film.decode(video=0)
                if start <= frame.time < end
            ]
            return VideoComponents(torch.stack(images), Fraction(film.streams.video[0].average_rate))

    def save_to(self, path: str | io.BytesIO, **options: Any) -> None:
        VideoFromComponents(self.get_components()).save_to(path)

    def _window(self) -> tuple[float, float]:
        return 0.0, float("inf")


class TrimmableVideo(VideoFromFile):
    """``VideoFromFile`` of 0.33."""

    def __init__(self, file: str | io.BytesIO, *, start_time: float = 0, duration: float = 0) -> None:
        super().__init__(file)
        self._start, self._duration = start_time, duration

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> TrimmableVideo:
        return type(self)(self.get_stream_source(), start_time=start_time + self._start, duration=duration)

    def get_active_trim_window(self) -> tuple[float, float]:
        return float(self._start), float(self._duration)

    def _window(self) -> tuple[float, float]:
        return self._start, self._start + self._duration if self._duration else float("inf")


class SilentlyTrimmedVideo(TrimmableVideo):
    """``VideoFromFile`` of versions between the two, which do not say what is shown."""

    get_active_trim_window = property()  # hasattr is False


class VideoFromComponents(VideoInput):
    """Of 0.3.64, which does not know what to write into a buffer."""

    container: str | None = None

    def __init__(self, components: VideoComponents) -> None:
        self._components = components

    def get_components(self) -> VideoComponents:
        return self._components

    def save_to(self, path: str | io.BytesIO, **options: Any) -> None:
        import av

        images, sound = self._components.images, self._components.audio
        with av.open(path, "w", format=self.container if isinstance(path, io.BytesIO) else None) as film:
            video = film.add_stream("libx264", rate=self._components.frame_rate)
            video.height, video.width, video.pix_fmt = *images.shape[1:3], "yuv420p"
            audio = film.add_stream("aac", rate=sound["sample_rate"]) if sound else None
            for image in images:
                pixels = np.ascontiguousarray((image * 255).byte().numpy())
                film.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            film.mux(video.encode())
            if audio:
                frame = av.AudioFrame.from_ndarray(sound["waveform"][0].numpy(), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = sound["sample_rate"], 0
                film.mux(audio.encode(frame))
                film.mux(audio.encode())


class BufferableComponents(VideoFromComponents):
    """``VideoFromComponents`` of 0.33."""

    container = "mp4"
