"""``video``: a film in the style of one or more pictures."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from ..farm import rank, wait_for_all, world_size
from ..images import scale_short_side
from ..pipeline import StyleTransfer
from ..stats import StyleStats, mix
from ..temporal import CUT, SMOOTHING, StyleTimeline, stylize_frames
from ..transfer import DETAILS
from ..video import VIDEO_SUFFIXES, FrameFunction, VideoError, convert_film, film_info, join_films
from .options import (
    add_model_options,
    add_transfer_options,
    check_output,
    load_model,
    measure_style,
    positive_float,
    progress_bar,
    read_mask,
    read_style,
    unit_interval,
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("video", help="a film in the style of one or more pictures")
    parser.add_argument("content", type=Path, help="a film")
    parser.add_argument("style", type=Path, nargs="*", help="style images or style files (none with --keyframe)")
    parser.add_argument("-o", "--out", type=Path, required=True, help=f"the result ({', '.join(VIDEO_SUFFIXES)})")
    parser.add_argument(
        "--keyframe",
        type=keyframe,
        action="append",
        default=[],
        metavar="SECONDS:STYLE",
        help="the style at a time, blended in between, as 4.5:b.jpg; may be repeated",
    )
    parser.add_argument(
        "--smoothing",
        type=unit_interval,
        default=SMOOTHING,
        help=f"share of the past in each frame's statistics, 0 to less than 1 (default: {SMOOTHING})",
    )
    parser.add_argument(
        "--cut",
        type=positive_float,
        default=CUT,
        help=f"change of the statistics that counts as a cut (default: {CUT})",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a result that exists")
    add_transfer_options(parser, "give each stylised frame its own colours back, by this method")
    add_model_options(parser)
    parser.set_defaults(run=run)


def keyframe(text: str) -> tuple[float, Path]:
    """An argparse type: a time in seconds and a style."""
    time, _, style = text.partition(":")
    try:
        return float(time), Path(style)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time and a style such as 4.5:b.jpg") from None


def run(args: argparse.Namespace) -> int:
    if bool(args.style) == bool(args.keyframe):
        raise VideoError("Name style images, or the style at each --keyframe: one of the two.")
    if args.keyframe and args.weights:
        raise VideoError("--weights mix the styles of a whole film; leave them out where each --keyframe has its own.")
    if args.out.suffix.lower() not in VIDEO_SUFFIXES:
        raise VideoError(f"'{args.out.name}' has no known film suffix; use one of {', '.join(VIDEO_SUFFIXES)}.")
    check_output(args.out, args.overwrite)
    film = film_info(args.content)
    span = own_span(film.duration)
    pictures = [read_style(path, args.style_size) for path in args.style or [path for _, path in args.keyframe]]
    model = load_model(args)
    detail = DETAILS.get(args.transform, ())
    styles = [measure_style(model, picture, args, detail) for picture in pictures]
    style = mix(styles, args.weights) if args.style else at_keyframes(args, styles, span[0] if span else 0, film.rate)
    part = part_of(args.out, rank()) if span else args.out
    with progress_bar("video") as progress:
        convert_film(args.content, part, stylizer(model, args, style), span, progress)
    wait_for_all()
    if rank() == 0:
        if span:
            parts = [part_of(args.out, i) for i in range(world_size())]
            join_films(parts, args.content, args.out)
            for path in parts:
                path.unlink()
        print(f"Wrote {args.out}")
    return 0


def own_span(duration: float) -> tuple[float, float] | None:
    """From when to when this process converts the film; None if it is alone."""
    share = duration / world_size()
    last = rank() == world_size() - 1
    return None if world_size() == 1 else (rank() * share, float("inf") if last else (rank() + 1) * share)


def part_of(out: Path, number: int) -> Path:
    """Where a process writes its span; .mov keeps the times of frames exactly."""
    return out.with_name(f".{out.stem}.{number}.mov")


def at_keyframes(
    args: argparse.Namespace, styles: list[StyleStats], start: float, rate: Fraction
) -> Callable[[int], StyleStats]:
    """The style of a frame from its number, counted from the time ``start``."""
    timeline = StyleTimeline([time for time, _ in args.keyframe], styles)
    return lambda number: timeline.at(start + number / float(rate))


def stylizer(
    model: StyleTransfer, args: argparse.Namespace, style: StyleStats | Callable[[int], StyleStats]
) -> FrameFunction:
    """What happens to the frames."""
    mask = read_mask(args.mask)

    def change(frames: Iterable[Tensor]) -> Iterator[Tensor]:
        if args.size:
            frames = (scale_short_side(frame, args.size) for frame in frames)
        names = ("alpha", "transform", "keep_colors", "smoothing", "cut", "work_size", "tile", "low_memory")
        options = {name: getattr(args, name) for name in names}
        return stylize_frames(model, frames, style, mask=mask, **options)

    return change
