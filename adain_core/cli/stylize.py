"""``stylize``: photos in the style of pictures."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from ..images import IMAGE_SUFFIXES, ImageError, Picture, read_picture, scale_short_side, write_picture
from ..pipeline import StyleTransfer
from ..progress import Progress, ignore_progress
from ..stats import StyleStats, mix
from ..transfer import DETAILS, TRANSFORMS
from .options import (
    add_model_options,
    check_output,
    load_model,
    number_list,
    positive_int,
    progress_bar,
    read_mask,
    unit_interval,
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("stylize", help="a photo, or a folder of photos, in the style of one or more pictures")
    parser.add_argument("content", type=Path, help="an image, or a folder of images")
    parser.add_argument("style", type=Path, nargs="+", help="one or more style images")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the result: an image, or a folder for a folder")
    parser.add_argument("--weights", type=number_list, metavar="W,W,...", help="weights of the styles (default: equal)")
    parser.add_argument("--alpha", type=unit_interval, default=1.0, help="strength, 0 to 1 (default: 1)")
    parser.add_argument(
        "--transform", choices=TRANSFORMS, default="adain", help="how the style moves the features (default: adain)"
    )
    parser.add_argument("--size", type=positive_int, help="short side of the result (default: the content's own size)")
    parser.add_argument("--style-size", type=positive_int, help="short side of the styles (default: their own)")
    parser.add_argument("--mask", type=Path, help="an image: stylise where it is white")
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    jobs = plan(args.content, args.out, args.overwrite)
    mask = read_mask(args.mask)
    pictures = [read_picture(path).rgb for path in args.style]
    model = load_model(args)
    if args.style_size:
        pictures = [scale_short_side(picture, args.style_size) for picture in pictures]
    detail = DETAILS.get(args.transform, ())
    style = mix([model.compute_style_stats(picture, detail=detail) for picture in pictures], args.weights)
    stylizer = Stylizer(model, style, args.alpha, args.size, mask, args.transform)
    if not args.content.is_dir():
        with progress_bar("stylize") as progress:
            stylizer.run(*jobs[0], progress)
        print(f"Wrote {args.out}")
        return 0
    return run_all(stylizer, jobs)


@dataclass(frozen=True)
class Stylizer:
    """What all photos of one call have in common."""

    model: StyleTransfer
    style: StyleStats
    alpha: float
    size: int | None
    mask: Tensor | None
    transform: str

    def run(self, source: Path, target: Path, progress: Progress = ignore_progress) -> None:
        """Stylise one image file into another."""
        picture = read_picture(source)
        if self.size:
            alpha = None if picture.alpha is None else scale_short_side(picture.alpha, self.size)
            picture = Picture(scale_short_side(picture.rgb, self.size), alpha)
        rgb = self.model(
            picture.rgb, self.style, alpha=self.alpha, mask=self.mask, transform=self.transform, progress=progress
        )
        write_picture(replace(picture, rgb=rgb), target)


def plan(content: Path, out: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """Which file becomes which.

    Raises:
        ImageError: there is nothing to do, or a result would replace a file.
    """
    if not content.is_dir():
        check_output(out, overwrite)
        return [(content, out)]
    if out.is_file():
        raise ImageError(f"{content} is a folder, but {out} is a file; name a folder for the results.")
    sources = sorted(p for p in content.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not sources:
        raise ImageError(f"{content} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    jobs = [(source, out / source.name) for source in sources]
    for _, target in jobs:
        check_output(target, overwrite)
    return jobs


def run_all(stylizer: Stylizer, jobs: list[tuple[Path, Path]]) -> int:
    """Stylise every file; those that fail are reported and passed over. Exit code 1 if any did."""
    failed = 0
    for source, target in tqdm(jobs, desc="stylize", unit="image", file=sys.stderr, disable=None):
        try:
            stylizer.run(source, target)
        except ImageError as error:
            failed += 1
            tqdm.write(f"adain: {error} Skipped.", file=sys.stderr)
    return 1 if failed else 0
