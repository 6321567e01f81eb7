"""``grid``: a contact sheet of results."""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor

from ..grid import contact_sheet
from ..images import Picture, read_picture, scale_short_side, write_picture
from ..pipeline import StyleTransfer
from .options import add_model_options, check_output, load_model, number_list, positive_int, progress_bar


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("grid", help="a contact sheet: contents x styles, or styles x alphas or work sizes")
    parser.add_argument("--content", type=Path, nargs="+", required=True, help="one photo or several")
    parser.add_argument("--style", type=Path, nargs="+", required=True, help="one style picture or several")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the sheet, an image file")
    parser.add_argument("--alphas", type=number_list, default=[1.0], metavar="A,A,...", help="strengths (default: 1)")
    parser.add_argument(
        "--work-sizes", type=positive_int, nargs="+", default=[None], help="short sides to stylise at (default: --size)"
    )
    parser.add_argument("--size", type=positive_int, default=512, help="short side to compute at (default: 512)")
    parser.add_argument("--cell", type=positive_int, default=256, help="long side of each picture (default: 256)")
    parser.add_argument("--overwrite", action="store_true", help="replace a sheet that exists")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_output(args.out, args.overwrite)
    if sum(len(side) > 1 for side in (args.content, args.alphas, args.work_sizes)) > 1:
        raise ValueError("A sheet has two sides: give several contents, alphas or work sizes, not two of them.")
    contents = [scale_short_side(read_picture(path).rgb, args.size) for path in args.content]
    styles = [read_picture(path).rgb for path in args.style]
    model = load_model(args)
    with progress_bar("grid") as progress:
        results = []
        for i, style in enumerate(styles):
            results.append(_results(model, contents, style, args.alphas, args.work_sizes))
            progress((i + 1) / len(styles))
    if len(contents) > 1:
        rows = [styles, *([row[j] for row in results] for j in range(len(contents)))]
        labels = ["", *(path.stem for path in args.content)], [path.stem for path in args.style]
    else:
        rows = [[style, *row] for style, row in zip(styles, results, strict=True)]
        columns = [f"alpha {alpha:g}" for alpha in args.alphas]
        if len(args.work_sizes) > 1:
            columns = [f"work size {side}" for side in args.work_sizes]
        labels = [path.stem for path in args.style], ["style", *columns]
    write_picture(Picture(contact_sheet(rows, *labels, args.cell)), args.out)
    print(f"Wrote {args.out}")
    return 0


def _results(
    model: StyleTransfer, contents: list[Tensor], style: Tensor, alphas: list[float], work_sizes: list[int | None]
) -> list[Tensor]:
    """Every content at every alpha and work size in one style."""
    stats = model.compute_style_stats(style)
    return [
        model(content, stats, alpha=alpha, work_size=side)
        for content in contents
        for alpha in alphas
        for side in work_sizes
    ]
