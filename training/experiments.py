"""Make the report's figures from trained decoders.

    python -m training.experiments NAME --runs DIR --content PATH ... --style PATH ... --out DIR
        [--train --train-content DIR --train-style DIR --budget MINUTES] [--set key=value ...]

NAME is one of: style-weight (figure 2), alpha-grid (8), skip-add (3), skip-concat (4), gatys (5, 6), pre-normalized
(7), curves (9, 10, 11), grid (12, 13), normalization (section 2.1). --runs holds a folder for each recipe, named after
it. In its place gatys and grid, which show one model, take --model lite or any other; skip-add and skip-concat take
--embedded: the small decoders that the package brings along. --train trains what is missing in --runs; the recipes
share the budget equally, and --set changes them all (to a smaller encoder, crop, or number of steps). PNG files go to
--out.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from adain_core import gatys
from adain_core.measure.losses import measure_result
from adain_core.models.weights import load_encoder
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats

from . import fit
from .checkpoint import is_finished
from .command import TrainingError, positive_int, run_command, square_side
from .data import center_square, find_images
from .figures import loss_curves, picture_grid
from .resources import timed

STYLE_WEIGHTS = [f"style-weight-{weight}" for weight in (1, 5, 10, 20)]
SKIP_ADD = ["paper", "add-content", "add-style", "add-both"]
SKIP_CONCAT = ["paper", "concat-content", "concat-style", "concat-both", "concat-content-adain"]
NORMALIZATIONS = ["norm-batch", "norm-instance", "norm-conditional", "paper"]
CURVES = {"style-weight": STYLE_WEIGHTS, "skip-add": SKIP_ADD, "skip-concat": SKIP_CONCAT}
RECIPES = {
    "style-weight": STYLE_WEIGHTS,
    "alpha-grid": STYLE_WEIGHTS,
    "skip-add": SKIP_ADD,
    "skip-concat": SKIP_CONCAT,
    "gatys": ["paper"],
    "pre-normalized": ["paper", "pre-normalized"],
    "curves": sorted({name for group in CURVES.values() for name in group}),
    "grid": ["paper"],
    "normalization": NORMALIZATIONS,
}
EMBEDDED_FIGURES = ("skip-add", "skip-concat")
ONE_MODEL = [name for name, recipes in RECIPES.items() if recipes == ["paper"]]
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.experiments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=RECIPES)
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument("--runs", type=Path, help="folder with a run for each recipe")
    shown.add_argument("--model", help="an embedded model or a file, for gatys and grid")
    shown.add_argument("--embedded", action="store_true", help="the embedded study-*, for skip-add and skip-concat")
    parser.add_argument("--content", type=Path, nargs="+", required=True, help="pictures to show: folders or files")
    parser.add_argument("--style", type=Path, nargs="+", required=True, help="folders or files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--only", nargs="+", metavar="RECIPE", help="show these of the experiment's recipes only")
    parser.add_argument("--size", type=square_side, default=256, help="side of the pictures in pixels (default: 256)")
    parser.add_argument("--rows", type=positive_int, default=6, help="contents and styles at most (default: 6)")
    parser.add_argument("--train", action="store_true", help="train the runs that are missing")
    parser.add_argument("--train-content", type=Path, help="folder of photographs to train on")
    parser.add_argument("--train-style", type=Path, help="folder of artworks to train on")
    parser.add_argument("--budget", type=float, default=math.inf, metavar="MINUTES", help="for all the training")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipes")
    parser.add_argument(
        "--iterations", type=positive_int, nargs="+", default=[1000, 5000], help="of Gatys' optimization"
    )
    parser.add_argument("--loss-network", default="vgg19-normalised", help="of Gatys and of the losses beside it")
    parser.add_argument("--device", default="auto")
    return parser.parse_args(argv)


def recipes_of(args: argparse.Namespace) -> list[str]:
    """The recipes that the figure shows."""
    known = RECIPES[args.name]
    unknown = [recipe for recipe in args.only or [] if recipe not in known]
    if unknown:
        raise TrainingError(
            f"--only {' '.join(unknown)}: the experiment {args.name} has the recipes {', '.join(known)}."
        )
    return [recipe for recipe in known if not args.only or recipe in args.only]


def result_of(runs: Path, recipe: str) -> Path:
    """The model's file of a recipe's run."""
    return runs / recipe / f"{recipe}.safetensors"


def source_of(args: argparse.Namespace, recipe: str) -> str | Path:
    """The model that stands for a recipe."""
    if args.embedded:
        return "study-plain" if recipe == "paper" else f"study-{recipe}"
    return args.model or result_of(args.runs, recipe)


def train_missing(args: argparse.Namespace) -> None:
    """Train the recipes of the experiment that have no result yet, or one of a run that was left before its end."""
    if not (args.runs and args.train_content and args.train_style):
        raise TrainingError("--train needs --runs DIR, --train-content DIR and --train-style DIR.")
    missing = [recipe for recipe in recipes_of(args) if not is_finished(result_of(args.runs, recipe))]
    changes = [part for change in args.set for part in ("--set", change)]
    for recipe in missing:
        folders = ["--content", args.train_content, "--style", args.train_style, "--out", args.runs / recipe]
        limits = ["--minutes", args.budget / len(missing), "--device", args.device]
        arguments = [*folders, "--recipe", recipe, "--resume", *limits, *changes]
        code = fit.main([str(argument) for argument in arguments])
        if code == fit.INTERRUPTED:
            raise TrainingError(f"The training of {recipe} was interrupted; the same command goes on with it.")
        if code not in (0, fit.OUT_OF_TIME):
            raise TrainingError(f"The training of {recipe} failed; its message is above.")


class Gallery:
    """The pictures of an experiment and the models that stylize them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.content_paths, self.style_paths = (
            find_images(*places)[: args.rows] for places in (args.content, args.style)
        )
        self.contents, self.styles = (
            [center_square(path, args.size) for path in paths] for paths in (self.content_paths, self.style_paths)
        )
        self._models: dict[str, StyleTransfer] = {}

    def model(self, recipe: str) -> StyleTransfer:
        """The trained model of a recipe."""
        if recipe not in self._models:
            source = source_of(self.args, recipe)
            self._models[recipe] = StyleTransfer.from_pretrained(source, device=self.args.device)
        return self._models[recipe]

    def stylize(self, recipe: str, content: Tensor, style: Tensor, style_path: Path) -> Tensor | None:
        """A result [3, H, W] in the way that the recipe's normalization needs; None for a style that it never saw."""
        model = self.model(recipe)
        if model.decoder.style_inside:
            return model(content, style, alpha=0.0)[0]
        if recipe == "norm-instance":
            return model(content, StyleStats.load(self._styles(recipe) / f"{recipe}.safetensors"))[0]
        if recipe == "norm-conditional":
            learned = sorted(self._styles(recipe).rglob(f"{style_path.name}.safetensors"))
            return model(content, StyleStats.load(learned[0]))[0] if learned else None
        return model(content, style)[0]

    def _styles(self, recipe: str) -> Path:
        """The folder of what a run's normalization learned."""
        return self.args.runs / recipe / "styles"

    def compare(self, path: Path) -> None:
        """One row for each pair of content and style, one column for each recipe."""
        recipes = recipes_of(self.args)
        rows = []
        for i in range(max(len(self.contents), len(self.styles))):
            content, j = self.contents[i % len(self.contents)], i % len(self.styles)
            results = [self.stylize(recipe, content, self.styles[j], self.style_paths[j]) for recipe in recipes]
            rows.append([content[0], self.styles[j][0], *results])
        picture_grid(rows, path, ["content", "style", *recipes])


def alpha_grid(gallery: Gallery, out: Path) -> None:
    """Figure 8: style weights by alphas."""
    content, style = gallery.contents[0], gallery.styles[0]
    rows = [
        [content[0], style[0], *(gallery.model(recipe)(content, style, alpha=alpha)[0] for alpha in ALPHAS)]
        for recipe in recipes_of(gallery.args)
    ]
    columns = ["content", "style", *(f"alpha {alpha:g}" for alpha in ALPHAS)]
    picture_grid(rows, out / "alpha-grid.png", columns, recipes_of(gallery.args))


def grid(gallery: Gallery, out: Path) -> None:
    """Figures 12 and 13: every content in every style."""
    model = gallery.model("paper")
    rows: list[list[Tensor | None]] = [[None, *(style[0] for style in gallery.styles)]]
    for content in gallery.contents:
        rows.append([content[0], *(model(content, style)[0] for style in gallery.styles)])
    picture_grid(rows, out / "grid.png")


def curves(gallery: Gallery, out: Path) -> None:
    """Figures 9, 10 and 11: the losses over the steps."""
    shown = recipes_of(gallery.args)
    for group, recipes in CURVES.items():
        logs = {recipe: gallery.args.runs / recipe / "log.csv" for recipe in recipes if recipe in shown}
        if len(logs) > 1:
            loss_curves(logs, out / f"curves-{group}.png")


def compare_gatys(gallery: Gallery, out: Path) -> None:
    """Figures 5 and 6: AdaIN beside the optimization, with times and losses, one row for each style."""
    model = gallery.model("paper")
    loss_network = load_encoder(gallery.args.loss_network)[0].to(model.device)
    content = gallery.contents[0].to(model.device)
    rows, captions = [], []

    def caption(result: Tensor, style: Tensor, seconds: float) -> str:
        measures = measure_result(loss_network, result, content, style)
        return f"{seconds:.2f} s\ncontent loss {measures.content:.2f}, style loss {measures.total_style:.2f}"

    for style in (style.to(model.device) for style in gallery.styles):
        model(content, style)  # the first call also chooses kernels
        result, seconds = timed(model.device, partial(model, content, style))
        texts = ["", "", caption(result, style, seconds)]
        row = [content[0], style[0], result[0]]
        for iterations in gallery.args.iterations:
            settings = replace(gatys.Settings(), iterations=iterations).for_encoder(loss_network)
            optimize = partial(gatys.stylize, loss_network, content, [gatys.Style(style)], settings)
            optimized, seconds = timed(model.device, optimize)
            texts.append(caption(optimized.picture, style, seconds))
            row.append(optimized.picture[0])
        rows.append(row)
        captions.append(texts)
    columns = ["content", "style", "AdaIN", *(f"Gatys, {n} iterations" for n in gallery.args.iterations)]
    picture_grid(rows, out / "gatys.png", columns, captions=captions, inches=2.56)


def comparison(name: str) -> Callable[[Gallery, Path], None]:
    """An experiment that shows the results of its recipes side by side."""
    return lambda gallery, out: gallery.compare(out / f"{name}.png")


EXPERIMENTS: dict[str, Callable[[Gallery, Path], None]] = {
    "style-weight": comparison("style-weight"),
    "alpha-grid": alpha_grid,
    "skip-add": comparison("skip-add"),
    "skip-concat": comparison("skip-concat"),
    "gatys": compare_gatys,
    "pre-normalized": comparison("pre-normalized"),
    "curves": curves,
    "grid": grid,
    "normalization": comparison("normalization"),
}


def make_figures(args: argparse.Namespace) -> None:
    if args.model and args.name not in ONE_MODEL:
        raise TrainingError(f"--model is for {' and '.join(ONE_MODEL)}; {args.name} compares runs: name their --runs.")
    if args.embedded and args.name not in EMBEDDED_FIGURES:
        raise TrainingError(
            f"--embedded is for {' and '.join(EMBEDDED_FIGURES)}; {args.name} needs runs: name their --runs."
        )
    if args.train:
        train_missing(args)
    missing = [recipe for recipe in recipes_of(args) if args.runs and not result_of(args.runs, recipe).exists()]
    if missing:
        raise TrainingError(f"{args.runs} lacks the runs {', '.join(missing)}; train them, or use --train.")
    EXPERIMENTS[args.name](Gallery(args), args.out)
    print(f"The figures are in {args.out}.")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(make_figures, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
