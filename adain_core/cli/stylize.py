"""``stylize``: photos in the style of pictures."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..images.files import ImageError, check_target, list_images, read_picture, result_name, write_picture
from ..options import ModelOptions
from ..pipeline.transfer import StyleTransfer
from ..runtime.memory import is_out_of_memory
from ..runtime.processes import own_share, rank, wait_for_all
from ..runtime.progress import Progress, ignore_progress
from ..styles.transforms import DETAILS
from .options import (
    MODEL,
    add_options,
    add_output,
    add_transfer_options,
    check_picture_output,
    load_model,
    measure_style,
    path_name,
    progress_bar,
    read_mask,
    read_style,
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("stylize", help="a photo, or a folder of photos, in the style of one or more pictures")
    parser.add_argument("content", type=path_name, help="An image, or a folder of images")
    parser.add_argument(
        "style", type=path_name, nargs="*", help="Style images or style files (none with --region alone)"
    )
    add_output(parser, "The result: an image, or a folder for a folder")
    add_transfer_options(parser, mask="An image")
    add_options(parser, ModelOptions, *MODEL)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not args.style and not args.region:
        raise ImageError("There is no style; name a style image or file, or give a --region.")
    jobs = plan(args.content, args.out, args.overwrite)
    styles = [read_style(path, args) for path in args.style]
    regions = [(read_mask(mask), read_style(path, args)) for mask, path in args.region]
    mask = args.mask and read_mask(args.mask)
    model = load_model(args)
    options: dict[str, Any] = {}
    if args.keep_colors in (None, "luminance"):
        # Measured once for all photos; otherwise each photo's colors change the styles first.
        detail = DETAILS.get(args.transform, ())
        styles = [measure_style(model, style, args, detail) for style in styles]
        regions = [(region, measure_style(model, style, args, detail)) for region, style in regions]
    else:
        style_mask = args.style_mask and read_mask(args.style_mask)
        options = {"style_mask": style_mask, "style_size": args.style_size, "style_scale": args.style_scale}
    options |= {"style": styles, "regions": regions, "mask": mask}
    names = ("alpha", "weights", "transform", "keep_colors", "work_size", "tile", "low_memory")
    stylizer = Stylizer(model, args.size, options | {name: getattr(args, name) for name in names})
    if args.content.is_dir():
        code = run_all(stylizer, own_share(jobs))
        wait_for_all()
        return code
    if rank() == 0:
        with progress_bar("stylize") as progress:
            stylizer.run(*jobs[0], progress)
        print(f"Wrote {args.out}")
    return 0


@dataclass(frozen=True)
class Stylizer:
    """What all photos of one call have in common: the model, the size and the model's other options."""

    model: StyleTransfer
    size: int | None
    options: dict[str, Any]

    def run(self, source: Path, target: Path, progress: Progress = ignore_progress) -> None:
        """Stylize one image file into another.

        Raises:
            ImageError: one of them cannot be read or written, or the picture does not fit into the memory.
        """
        try:
            picture = read_picture(source).scaled(self.size)
            check_target(target, picture.rgb.shape[-2:])
            rgb = self.model(picture.rgb, progress=progress, **self.options)
            write_picture(replace(picture, rgb=rgb), target)
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
    if not content.is_dir():
        check_picture_output(out, overwrite)
        return [(content, out)]
    if out.is_file():
        raise ImageError(f"{content} is a folder, but {out} is a file; name a folder for the results.")
    jobs = [(source, out / result_name(source)) for source in list_images(content)]
    for _, target in jobs:
        check_picture_output(target, overwrite)
    return jobs


def run_all(stylizer: Stylizer, jobs: list[tuple[Path, Path]]) -> int:
    """Stylize every file; those that fail are reported and passed over. Exit code 1 if any did."""
    failed = 0
    for source, target in tqdm(jobs, desc="stylize", unit="image", file=sys.stderr, disable=None):
        try:
            stylizer.run(source, target)
        except ImageError as error:
            failed += 1
            tqdm.write(f"adain: {error} Skipped.", file=sys.stderr)
    return 1 if failed else 0
