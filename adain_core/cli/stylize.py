"""``stylize``: photos in the style of pictures."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from ..images.files import (
    ImageError,
    check_target,
    encode_picture,
    list_images,
    read_picture,
    result_name,
    write_picture,
)
from ..options import ModelOptions, Options
from ..pipeline.layers import Layers, Look, layers_of
from ..pipeline.runner import run as stylize
from ..pipeline.transfer import StyleTransfer
from ..runtime.memory import is_out_of_memory
from ..runtime.processes import Processes
from ..runtime.progress import Progress, ignore_progress
from ..runtime.terminal import printable
from .options import (
    MODEL,
    add_options,
    add_output,
    add_transfer_options,
    check_picture_output,
    chosen_model,
    path_name,
    progress_bar,
    read_mask,
    read_style,
    stylization,
)
from .output import add_json, report

STREAM = Path("-")
"""Stands for stdin as a content, and for stdout as a result."""
_LARGEST_INPUT = 2**30


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("stylize", help="a photo, or a folder of photos, in the style of one or more pictures")
    parser.add_argument("content", type=path_name, help="An image, a folder of images, or - for stdin")
    parser.add_argument(
        "style", type=path_name, nargs="*", help="Style images or style files (none with --region alone)"
    )
    add_output(parser, "The result: an image, a folder for a folder, or - for a PNG on stdout", may_skip=True)
    add_json(parser)
    add_transfer_options(parser, mask="An image")
    add_options(parser, ModelOptions, *MODEL)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not args.style and not args.region:
        raise ImageError("There is no style; name a style image or file, or give a --region.")
    for option in ("mask", "weights"):
        if getattr(args, option) and not args.style:
            raise ImageError(f"There is no style for --{option}; name a style image or file, or leave --{option} out.")
    processes = Processes.join()
    jobs = processes.share(plan(args.content, args.out, args.overwrite or args.skip_existing))
    skipped = [target for _, target in jobs if args.skip_existing and target.exists()]
    jobs = [(source, target) for source, target in jobs if target not in skipped]
    mask = args.mask and read_mask(args.mask)
    looks = [Look([read_style(path, args) for path in args.style], args.weights, mask)] if args.style else []
    looks += [Look([read_style(path, args)], mask=read_mask(region)) for region, path in args.region]
    style_mask = args.style_mask and read_mask(args.style_mask)
    model = chosen_model(args)
    task = Task(model, *layers_of(model, looks, stylization(args), style_mask))
    failed: dict[str, str] = {}
    if args.content.is_dir():
        failed = run_all(task, jobs)
        processes.leave()
    elif jobs:
        with progress_bar("stylize") as progress:
            task.run(*jobs[0], progress)
    if args.out == STREAM:  # which is the picture's
        return 0
    written = [str(target) for source, target in jobs if str(source) not in failed]
    lines = [f"Left what exists: {len(skipped)}"] if skipped else []
    lines += [f"Wrote {args.out}"] if written and not args.content.is_dir() else []
    report(args, {"written": written, "skipped": [*map(str, skipped)], "failed": failed}, *lines)
    return 1 if failed else 0


@dataclass(frozen=True)
class Task:
    """What all photos of one call have in common."""

    model: StyleTransfer
    layers: Layers
    options: Options

    def run(self, source: Path, target: Path, progress: Progress = ignore_progress) -> None:
        """Stylize one image file into another.

        Raises:
            ImageError: one of them cannot be read or written, or the picture does not fit into the memory.
        """
        try:
            picture = read_picture(stdin() if source == STREAM else source).scaled(self.options.size)
            if target != STREAM:
                check_target(target, picture.rgb.shape[-2:])
            (rgb,) = stylize(self.model, [picture.rgb], self.layers, self.options, progress=progress)
            result = replace(picture, rgb=rgb)
            if target == STREAM:
                sys.stdout.buffer.write(encode_picture(result, "PNG"))
            else:
                write_picture(result, target)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise ImageError(
                f"There is too little memory for {source}; use a smaller --tile or --tile-memory, --low-memory, or a"
                " smaller --size."
            ) from error


def plan(content: Path, out: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """Which file becomes which.

    Raises:
        ImageError: there is nothing to do, or a result would replace a file.
    """
    if out == STREAM and (content.is_dir() or sys.stdout.isatty()):
        where = "a file: -o - > result.png" if sys.stdout.isatty() else "a folder for the results of a folder"
        raise ImageError(f"The result cannot go to stdout here; name {where}.")
    if not content.is_dir():
        if out != STREAM:
            check_picture_output(out, overwrite)
        return [(content, out)]
    if out.is_file():
        raise ImageError(f"{content} is a folder, but {out} is a file; name a folder for the results.")
    jobs = [(source, out / result_name(source)) for source in list_images(content)]
    for _, target in jobs:
        check_picture_output(target, overwrite)
    return jobs


def stdin() -> bytes:
    """What comes on stdin.

    Raises:
        ImageError: nothing does, or more than a picture has.
    """
    closed = sys.stdin is None or sys.stdin.isatty()
    if closed or not (data := sys.stdin.buffer.read(_LARGEST_INPUT + 1)):
        raise ImageError("Nothing came on stdin; give it an image file: adain stylize - ... < photo.jpg")
    if len(data) > _LARGEST_INPUT:
        raise ImageError(f"More than {_LARGEST_INPUT} bytes came on stdin; give it one image file.")
    return data


def run_all(task: Task, jobs: list[tuple[Path, Path]]) -> dict[str, str]:
    """Stylize every file; those that fail are told of and passed over, and returned with what was wrong."""
    failed = {}
    for source, target in tqdm(jobs, desc="stylize", unit="image", file=sys.stderr, disable=None):
        try:
            task.run(source, target)
        except ImageError as error:
            failed[str(source)] = str(error)
            tqdm.write(printable(f"adain: {error} Skipped."), file=sys.stderr)
    return failed
