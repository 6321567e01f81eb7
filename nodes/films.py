"""ComfyUI's VIDEO as a film that adain_core reads, and back."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import folder_paths
from comfy_api.latest import Input, InputImpl
from torch import Tensor

from ..adain_core.films.colors import FilmError
from ..adain_core.films.files import FrameFunction, check_sound, convert_film
from ..adain_core.films.reading import Span, count_frames, one_for_each, read_masks
from ..adain_core.films.smoothing import Mask
from .images import from_mask
from .progress import heed_stop


@dataclass(frozen=True)
class Film:
    """A file and what is shown of it; all if there is no span."""

    path: Path
    span: Span | None

    def count(self) -> int:
        """How many frames are shown."""
        return count_frames(self.path, self.span)


@contextmanager
def from_video(video: Input.Video) -> Iterator[Film]:
    """The film of a VIDEO. What is not in a file of its own is put into one until the block ends."""
    source = None if _must_be_saved(video) else video.get_stream_source()
    if isinstance(source, (str, os.PathLike)):
        yield Film(Path(source), _span_of(video))
        return
    path = _temporary_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if source is None:
            video.save_to(str(path))
            yield Film(path, None)
        else:
            path.write_bytes(source.getbuffer())
            yield Film(path, _span_of(video))
    finally:
        path.unlink(missing_ok=True)


def _must_be_saved(video: Input.Video) -> bool:
    """Whether a VIDEO is no file yet, which 0.3.64 cannot stream, or comes from a version that trims and does not say
    where."""
    silent = hasattr(video, "as_trimmed") and not hasattr(video, "get_active_trim_window")
    return silent or isinstance(video, InputImpl.VideoFromComponents)


def _span_of(video: Input.Video) -> Span | None:
    """From when to when a VIDEO was trimmed."""
    if not hasattr(video, "get_active_trim_window"):
        return None
    start, duration = video.get_active_trim_window()
    if not (start or duration):
        return None
    # Of 0.1 + 0.2 the sum is a little more than the time of the frame at 0.3.
    return start, round(start + duration, 6) if duration else math.inf


def _temporary_path(suffix: str = ".mp4") -> Path:
    return Path(folder_paths.get_temp_directory()) / f"adain_{secrets.token_hex(8)}{suffix}"


def change_video(film: Film, change: FrameFunction) -> Input.Video:
    """A film with its frames changed and its sound kept, as a VIDEO in ComfyUI's temporary folder; nothing stays there
    where the work is interrupted or fails."""
    target = _temporary_path()
    try:
        check_sound(film.path, target)
    except FilmError:
        target = target.with_suffix(".mkv")
    convert_film(film.path, target, change, film.span, heed_stop)
    return InputImpl.VideoFromFile(str(target))


@contextmanager
def masks_over_time(mask: Tensor | Input.Video | None, count: int) -> Iterator[Mask | None]:
    """What is connected to the input ``mask``, a MASK or a VIDEO, as masks for ``count`` frames of the input ``video``.

    Raises:
        ValueError: there is neither one mask nor one for each frame.
    """
    if mask is None or isinstance(mask, Tensor):
        yield over_time(from_mask(mask, "mask", "video", count))
        return
    with from_video(mask) as film:
        if film.count() < count:
            raise ValueError(
                f"'mask' has {film.count()} frames, but 'video' {count}; connect a film with a mask for each frame, or"
                " one mask for all."
            )
        with closing(read_masks(film.path, film.span)) as masks:
            yield one_for_each(masks, "'mask'")


def over_time(mask: Tensor | None) -> Mask | None:
    """One mask for all frames, or that of a frame by its number."""
    return mask if mask is None or len(mask) == 1 else mask.__getitem__
