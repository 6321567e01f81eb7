"""``video``: a film in the style of one or more pictures."""

from __future__ import annotations

import argparse
import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from torch import Tensor

from ..films.colors import FilmError
from ..films.files import FILM_SUFFIXES, FrameFunction, check_sound, convert_film, join_films
from ..films.reading import count_frames, duration_of, frame_times, one_for_each, read_masks
from ..films.smoothing import Mask, StyleOverTime, StyleTimeline, stylize_film
from ..images.files import IMAGE_SUFFIXES, list_images
from ..options import FilmOptions, ModelOptions
from ..pipeline.layers import Look, style_of
from ..runtime.files import unique_beside
from ..runtime.processes import Processes
from ..runtime.progress import Progress
from ..styles.stats import StyleStats
from .options import (
    MODEL,
    add_options,
    add_output,
    add_transfer_options,
    check_output,
    chosen_model,
    path_name,
    progress_bar,
    read_mask,
    read_style,
    stylization,
)
from .output import say

_log = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("video", help="a film in the style of one or more pictures")
    parser.add_argument("content", type=path_name, help="A film")
    parser.add_argument("style", type=path_name, nargs="*", help="Style images or style files (none with --keyframe)")
    add_output(parser, f"The result ({', '.join(FILM_SUFFIXES)})", may_skip=True)
    parser.add_argument(
        "--keyframe",
        type=keyframe,
        action="append",
        default=[],
        metavar="SECONDS:STYLE",
        help="The style at a time, blended in between, as 4.5:b.jpg; may be repeated",
    )
    add_options(parser, FilmOptions, "smoothing", "cut")
    add_transfer_options(parser, mask="An image for all frames, or a film or a folder of images with one for each")
    add_options(parser, ModelOptions, *MODEL)
    parser.set_defaults(run=run)


def keyframe(text: str) -> tuple[float, Path]:
    """An argparse type: a time in seconds and a style."""
    time, _, style = text.partition(":")
    try:
        return float(time), path_name(style)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time and a style such as 4.5:b.jpg") from None


def run(args: argparse.Namespace) -> int:
    if args.style and args.keyframe:
        raise FilmError("Name style images, or the style at each --keyframe: one of the two.")
    if not (args.style or args.keyframe or args.region):
        raise FilmError("There is no style; name a style image or file, or give a --keyframe or a --region.")
    if args.mask and not (args.style or args.keyframe):
        raise FilmError("There is no style for --mask; name a style image or file, or leave --mask out.")
    if args.weights and not args.style:
        raise FilmError("--weights mix the styles of a whole film; leave them out where each --keyframe has its own.")
    if args.out.suffix.lower() not in FILM_SUFFIXES:
        raise FilmError(f"'{args.out.name}' has no known film suffix; use one of {', '.join(FILM_SUFFIXES)}.")
    processes = Processes.join()
    check_output(args.out, args.overwrite or args.skip_existing)
    skipped = processes.any(args.skip_existing and args.out.exists())
    if not skipped:
        duration = duration_of(args.content)
        check_masks(args)
        with progress_bar("video") as progress:
            if processes.count == 1:
                convert_film(args.content, args.out, stylizer(args), progress=progress)
            else:
                convert_together(args, processes, duration, progress)
    processes.leave()
    if processes.rank == 0:
        say("Left what exists: 1" if skipped else f"Wrote {args.out}")
    return 0


def convert_together(args: argparse.Namespace, processes: Processes, duration: float, progress: Progress) -> None:
    """Convert a film by several processes: each a span of it, which the first one puts together."""
    check_sound(args.content, args.out)
    rank, count = processes.rank, processes.count
    start = duration * rank / count
    end = duration * (rank + 1) / count if rank + 1 < count else math.inf
    # .mov keeps the times of frames exactly.
    name = processes.first(unique_beside(args.out.with_suffix(".mov")))
    parts = [name.with_stem(f"{name.stem}.{number}") for number in range(count)]
    try:
        convert_film(args.content, parts[rank], stylizer(args, start), (start, end), progress, part=True)
        processes.wait()
        if rank == 0:
            join_films([part for part in parts if part.exists()], args.content, args.out)
    finally:
        if rank == 0:
            for part in parts:
                part.unlink(missing_ok=True)


def check_masks(args: argparse.Namespace) -> None:
    """Refuse films and folders of masks that end before the film does, and warn of those that go on after it.

    Raises:
        FilmError: with both numbers of frames.
    """
    frames = None
    for path in [*filter(None, [args.mask]), *(mask for mask, _ in args.region)]:
        if not is_one_picture(path):
            frames = frames or count_frames(args.content)
            masks = len(list_images(path)) if path.is_dir() else count_frames(path)
            numbers = f"{path} has {masks} masks, but {args.content} has {frames} frames"
            if masks < frames:
                raise FilmError(f"{numbers}; give a mask for each frame, or one image for all.")
            if masks > frames:
                _log.warning(f"{numbers}; the masks are taken in order, and the last ones are left out.")


def stylizer(args: argparse.Namespace, start: float = 0.0) -> FrameFunction:
    """What happens to the frames of a film from a time on."""
    model, options = chosen_model(args), stylization(args)
    style_mask = args.style_mask and read_mask(args.style_mask)

    def measure(paths: Sequence[Path], weights: Sequence[float] | None = None) -> StyleStats:
        return style_of(model, Look([read_style(path, args) for path in paths], weights), options, style_mask)

    times = frame_times(args.content) if args.keyframe or start else []
    first = bisect_left(times, start)
    layers: list[tuple[StyleOverTime, Mask | None]] = []
    mask = masks_of(args.mask, first) if args.mask else None
    if args.style:
        layers.append((measure(args.style, args.weights), mask))
    elif args.keyframe:
        timeline = StyleTimeline([time for time, _ in args.keyframe], [measure([path]) for _, path in args.keyframe])
        layers.append((at_frames(timeline, times, first), mask))
    layers += [(measure([path]), masks_of(where, first)) for where, path in args.region]

    def change(frames: Iterable[Tensor]) -> Iterator[Tensor]:
        return stylize_film(model, frames, layers, options, FilmOptions(args.smoothing, args.cut))

    return change


def at_frames(timeline: StyleTimeline, times: list[float], first: int) -> Callable[[int], StyleStats]:
    """The style of each frame by its number, counted from that of the ``first``; the film's beginning is time 0."""
    return lambda number: timeline.at(times[min(first + number, len(times) - 1)] - times[0])


def is_one_picture(path: Path) -> bool:
    """Whether a mask is an image for all frames, not a film or a folder with one for each."""
    return not path.is_dir() and path.suffix.lower() in IMAGE_SUFFIXES


def masks_of(path: Path, first: int) -> Mask:
    """The mask of an image for all frames, or those of a film or of a folder of images one by one from the number of a
    frame on."""
    if is_one_picture(path):
        return read_mask(path)
    masks = map(read_mask, list_images(path)) if path.is_dir() else read_masks(path)
    return one_for_each(islice(masks, first, None), path)
