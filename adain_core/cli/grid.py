"""``grid``: a contact sheet of results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from torch import Tensor

from ..images.files import read_picture, write_picture
from ..images.pictures import Picture, scale_short_side
from ..images.sheets import cell_of, check_sheet, contact_sheet
from ..options import GridOptions, ModelOptions
from ..pipeline.transfer import StyleTransfer
from ..runtime.progress import Progress, section
from ..runtime.tables import options_of
from ..styles.stats import StyleStats
from .options import (
    MODEL,
    add_options,
    add_output,
    check_picture_output,
    chosen_model,
    path_name,
    progress_bar,
)
from .output import add_json, report

_ALPHAS = options_of(GridOptions)["alphas"]


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("grid", help="a contact sheet: contents x styles, or styles x alphas")
    parser.add_argument("--content", type=path_name, nargs="+", required=True, help="One photo or several")
    parser.add_argument("--style", type=path_name, nargs="+", required=True, help="One style picture or several")
    add_output(parser, "The sheet, an image file")
    add_json(parser)
    default = f"{_ALPHAS.shown(_ALPHAS.default)}; for several contents 1"
    add_options(parser, GridOptions, "alphas", default=None, unset=default)
    add_options(parser, GridOptions, "size", "cell")
    add_options(parser, ModelOptions, *MODEL)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_picture_output(args.out, args.overwrite)
    alphas = args.alphas or (_ALPHAS.default if len(args.content) == 1 else (1.0,))
    if len(args.content) > 1 and len(alphas) > 1:
        raise ValueError("A sheet has two sides: give several contents or several alphas, not both.")
    check_sheet(len(args.style), 1 + max(len(args.content), len(alphas)), args.cell)
    contents = [scale_short_side(read_picture(path).rgb, args.size) for path in args.content]
    styles = [read_picture(path) for path in args.style]
    model = chosen_model(args)
    with progress_bar("grid") as progress:
        looks = [model.compute_style_stats(style) for style in styles]
        results = []
        for i, content in enumerate(contents):
            part = section(progress, i / len(contents), (i + 1) / len(contents))
            results.append(_results(model, content, looks, alphas, args.cell, part))
    pictures = [cell_of(style.rgb, args.cell) for style in styles]
    if len(contents) > 1:
        rows = [pictures, *([row[0] for row in result] for result in results)]
        labels = ["", *(path.stem for path in args.content)], [path.stem for path in args.style]
    else:
        rows = [[picture, *row] for picture, row in zip(pictures, results[0], strict=True)]
        columns = [f"alpha {alpha:g}" for alpha in alphas]
        labels = [path.stem for path in args.style], ["style", *columns]
    write_picture(Picture(contact_sheet(rows, *labels, args.cell)), args.out)
    report(args, {"written": str(args.out)}, f"Wrote {args.out}")
    return 0


def _results(
    model: StyleTransfer,
    content: Tensor,
    styles: list[StyleStats],
    alphas: Sequence[float],
    cell: int,
    progress: Progress,
) -> list[list[Tensor]]:
    """A content in each style at each alpha, as small as the sheet shows it."""
    features = model.encode(content, keep_shallow=True)
    rows = []
    for i, style in enumerate(styles):
        rows.append([cell_of(model.decode(model.blend(features, style, alpha)), cell) for alpha in alphas])
        progress((i + 1) / len(styles))
    return rows
