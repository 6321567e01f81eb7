"""Make the study's figures.

    python -m training.experiments all --embedded --out figures
    python -m training.experiments figure-8 --runs DIR --out figures
        [--train --train-content DIR --train-style DIR --budget MINUTES] [--set key=value ...]

The figures come from what the package brings along (--embedded, the default) or from trainings of your own: --runs
holds a folder for each recipe, named after it. --model MODEL stands for the one model of figures 1, 5, 6, 12 and 13.
The pictures are the examples of this repository; --content and --style name others. --train trains what is missing in
--runs; the recipes share the budget equally, and --set changes them all (to a smaller encoder, crop, or number of
steps). PNG files named after the figures go to --out.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from adain_core.cli.options import add_options
from adain_core.options import ModelOptions

from . import fit
from .checkpoint import is_finished
from .command import TrainingError, positive_int, run_command, square_side
from .data import find_images
from .gallery import Gallery, Study, example_pictures, recipe_of
from .kinds import Architecture, BesideGatys, Comparison, Curves, Figure, Grid, Strengths, optimize
from .resources import timed


def named(*models: str) -> dict[str, str]:
    """Models under their own names."""
    return {model: model for model in models}


STYLE_WEIGHTS = {1: "style-weight-1", 5: "style-weight-5", 10: "plain", 20: "style-weight-20"}
WEIGHTED = {f"style weight {weight}": model for weight, model in STYLE_WEIGHTS.items()}
ADDITIVE = named("plain", "add-content", "add-style", "add-both")
CONCATENATED = named("plain", "concat-content", "concat-style", "concat-both", "concat-content-adain")
PRE_NORMALIZED = named("plain", "pre-normalized")
NORMALIZATIONS = {
    "batch": "norm-batch", "instance": "norm-instance", "conditional": "norm-conditional", "AdaIN": "plain"
}  # fmt: skip

# Gatys' optimization copies hardly more of the first picture than AdaIN does, and cuts faces into the stripes of the
# second. Among other pictures they are the first and the last.
EASY_STYLE = ("style_watercolour.jpg", 0)
HARD_STYLE = ("style_woodcut.jpg", -1)

FIGURES: dict[str, Figure] = {
    "figure-1": Architecture("Adaptive instance normalization", named("plain")),
    "figure-2": Comparison("The weight of the style loss", WEIGHTED),
    "figure-3": Comparison("Additive skip connections", ADDITIVE),
    "figure-4": Comparison("Concatenated skip connections", CONCATENATED),
    "figure-5": BesideGatys("AdaIN and Gatys' optimization, an easy style", named("plain"), *EASY_STYLE),
    "figure-6": BesideGatys("AdaIN and Gatys' optimization, a hard style", named("plain"), *HARD_STYLE),
    "figure-7": Comparison("Pre-normalized input", PRE_NORMALIZED),
    "figure-8": Strengths("The weight of the style loss and alpha", WEIGHTED),
    "figure-9": Curves("Losses with pre-normalized input", PRE_NORMALIZED),
    "figure-10": Curves("Losses with additive skip connections", ADDITIVE),
    "figure-11": Curves("Losses with concatenated skip connections", CONCATENATED),
    "figure-12": Grid("Contents and styles, without skip connections", named("plain")),
    "figure-13": Grid("Contents and styles, the content's maps concatenated", named("concat-content")),
    "section-2.1": Comparison("What normalizes the features", NORMALIZATIONS),
}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    titles = "\n".join(f"    {name:<12} {figure.title}" for name, figure in FIGURES.items())
    parser = argparse.ArgumentParser(
        prog="training.experiments",
        description=f"{__doc__}\n{titles}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=["all", *FIGURES], metavar="all|FIGURE", help="one of the names above, or all")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--embedded", action="store_true", help="the models that the package brings along (the default)")
    shown.add_argument("--runs", type=Path, metavar="DIR", help="folder with a run for each recipe")
    shown.add_argument("--model", help="an embedded model or a file, for a figure of one model")
    parser.add_argument("--content", type=Path, nargs="+", help="pictures to show, folders or files")
    parser.add_argument("--style", type=Path, nargs="+", help="likewise; of Gatys' two the first is the easy one")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the figures")
    parser.add_argument("--size", type=square_side, default=512, help="side of the pictures in pixels (default: 512)")
    parser.add_argument("--rows", type=positive_int, default=8, help="contents and styles at most (default: 8)")
    parser.add_argument("--train", action="store_true", help="train the runs that are missing")
    parser.add_argument("--train-content", type=Path, metavar="DIR", help="folder of photographs to train on")
    parser.add_argument("--train-style", type=Path, metavar="DIR", help="folder of artworks to train on")
    parser.add_argument("--budget", type=float, default=math.inf, metavar="MINUTES", help="for all the training")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipes")
    parser.add_argument(
        "--iterations",
        type=positive_int,
        nargs="+",
        default=[1000, 5000],
        help="of Gatys' optimization (default: 1000 5000)",
    )
    parser.add_argument(
        "--loss-network", default="lite-large", help="of Gatys and of the losses beside it (default: lite-large)"
    )
    add_options(parser, ModelOptions, "device")
    return parser.parse_args(argv)


def train_missing(args: argparse.Namespace, figures: Collection[Figure]) -> None:
    """Train the models of figures that have no result yet, or one of a run that was left before its end."""
    if not (args.runs and args.train_content and args.train_style):
        raise TrainingError("--train needs --runs DIR, --train-content DIR and --train-style DIR.")
    study = Study(args.runs)
    models = dict.fromkeys(model for figure in figures for model in figure.models.values())
    missing = [recipe_of(model) for model in models if not is_finished(study.weights(model))]
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


def seconds_needed(gallery: Gallery, figures: Collection[Figure]) -> float:
    """How long the figures will take here, from one picture and a few evaluations of Gatys' loss."""
    pictures, evaluations = (sum(part) for part in zip(*(figure.work(gallery) for figure in figures), strict=True))
    seconds = 0.0
    if pictures:
        name = next(model for figure in figures if figure.work(gallery)[0] for model in figure.models.values())
        model = gallery.study.model(name)
        gallery.stylize(name, 0, 0)
        seconds += pictures * timed(model.device, lambda: gallery.stylize(name, 0, 0))[1]
    if evaluations:
        few, network = 3, gallery.loss_network
        content, style = (squares[0].to(model.device) for squares in (gallery.contents, gallery.styles))
        seconds += evaluations / few * timed(model.device, lambda: optimize(network, content, style, few))[1]
    return seconds


def make_figures(args: argparse.Namespace) -> None:
    """Make the figures that can be made, and name what the others lack.

    Raises:
        TrainingError: models or logs are missing.
    """
    chosen = FIGURES if args.name == "all" else {args.name: FIGURES[args.name]}
    if args.model and any(len(figure.models) > 1 for figure in chosen.values()):
        single = ", ".join(name for name, figure in FIGURES.items() if len(figure.models) == 1)
        raise TrainingError(f"--model is for a figure of one model: {single}.")
    if args.train:
        train_missing(args, chosen.values())
    study = Study(args.runs, args.model, args.device)
    missing = {name: lacking for name, figure in chosen.items() if (lacking := figure.missing(study))}
    possible = {name: figure for name, figure in chosen.items() if name not in missing}
    if possible:
        contents = find_images(*(args.content or example_pictures("photo")))[: args.rows]
        styles = find_images(*(args.style or example_pictures("style")))[: args.rows]
        gallery = Gallery(study, contents, styles, args.size, args.iterations, args.loss_network)
        minutes = math.ceil(seconds_needed(gallery, possible.values()) / 60)
        print(f"{', '.join(possible)}: about {minutes} min here.", flush=True)
        for name, figure in possible.items():
            figure.draw(gallery, args.out / f"{name}.png")
            print(args.out / f"{name}.png", flush=True)
    if missing:
        things = dict.fromkeys(thing for lacking in missing.values() for thing in lacking)
        advice = f"; train them, or use --train with {args.runs}" if args.runs else ""
        raise TrainingError(f"Not made: {', '.join(missing)}, which lack {', '.join(things)}{advice}.")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(make_figures, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
