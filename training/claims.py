"""Test what the study says, claim by claim.

    python -m training.claims [--runs DIR] [--every N] [--loss-network NAME|FILE] [--out DIR]

Measures the study's models, those of the package or of a folder of runs, on every example photograph in every example
style (--content and --style name others; --every 3 takes each third pair) and prints a table: claim, figure, what was
measured, whether it holds. A claim whose models or logs are missing says so. DIR receives claims.md.

Losses and leakage (how much of the style's own picture shows, see training.leakage) are those of the loss network;
edges are the correlation of the outlines with the content's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from pathlib import Path
from statistics import fmean

from adain_core.cli.options import add_options
from adain_core.models.addresses import HubError
from adain_core.models.errors import WeightsError
from adain_core.models.weights import load_encoder
from adain_core.networks.encoder import STYLE_TAPS
from adain_core.options import ModelOptions
from adain_core.runtime.device import resolve_device
from adain_core.runtime.files import write_atomically

from .command import TrainingError, positive_int, run_command, square_side
from .data import find_images
from .experiments import EASY_STYLE, HARD_STYLE, STYLE_WEIGHTS
from .gallery import Study, example_pictures
from .laboratory import Laboratory, Numbers
from .pairs import Pairs, pair_paths


@dataclass(frozen=True)
class Finding:
    """What was measured for a claim, in words, and whether it bears the claim out."""

    measured: str
    holds: bool


Test = Callable[[Laboratory], Finding]


@dataclass(frozen=True)
class Claim:
    """What the study says.

    Args:
        text: in one sentence.
        place: the figure or section that shows it.
        test: measures it.
    """

    text: str
    place: str
    test: Test


def by_weight(what: str, number: Callable[[Numbers], float], places: int = 2) -> Test:
    """A number of the results falls as the style loss weighs more."""

    def test(lab: Laboratory) -> Finding:
        found = {weight: number(lab.numbers(model)) for weight, model in STYLE_WEIGHTS.items()}
        shown = ", ".join(f"{value:.{places}f}" for value in found.values())
        weights = ", ".join(map(str, found))
        return Finding(f"{what} at {weights}: {shown}", all(a > b for a, b in pairwise(found.values())))

    return test


def beside_plain(
    what: str, number: Callable[[Numbers], float], models: Sequence[str], fits: Callable[[float, float], bool]
) -> Test:
    """A number of some models' results fits that of the plain one's: ``fits(theirs, plain)``."""

    def test(lab: Laboratory) -> Finding:
        plain = number(lab.numbers("plain"))
        found = {model: number(lab.numbers(model)) for model in models}
        shown = ", ".join(f"{model} {value:.2f}" for model, value in {"plain": plain, **found}.items())
        return Finding(f"{what}: {shown}", all(fits(value, plain) for value in found.values()))

    return test


def colors_only(lab: Laboratory) -> Finding:
    """What is left of the photographs' distance from the style, in the shallowest layer and in the deepest."""
    photographs, results = lab.photographs(), lab.numbers("style-weight-1").style
    shallow, deep = (results[tap] / photographs[tap] for tap in (STYLE_TAPS[0], STYLE_TAPS[-1]))
    return Finding(
        f"of the photographs' style loss {shallow:.0%} is left at relu1_1, {deep:.0%} at relu4_1",
        shallow < 0.5 < deep,
    )


def larger_losses(lab: Laboratory) -> Finding:
    """The losses at the end of the training, the last tenth of it, over those of the plain model."""
    ratios = []
    for term in ("content", "style"):
        end, plain = (fmean(losses[-max(1, len(losses) // 10) :]) for losses in both_logs(lab, term))
        ratios.append(end / plain)
    return Finding("content {:.1f} times, style {:.1f} times the plain ones".format(*ratios), 5 <= fmean(ratios) <= 10)


def rougher_curves(lab: Laboratory) -> Finding:
    """How far the style loss jumps from one line of the log to the next, in the second half of the training."""
    jumps = [
        fmean(abs(log(b / a)) for a, b in pairwise(losses[len(losses) // 2 :])) for losses in both_logs(lab, "style")
    ]
    return Finding(
        "the style loss jumps by {:.1%} a line, the plain one by {:.1%}".format(*jumps), jumps[0] > 1.2 * jumps[1]
    )


def both_logs(lab: Laboratory, term: str) -> tuple[list[float], list[float]]:
    """A loss of the pre-normalized model's training and of the plain one's."""
    return lab.log("pre-normalized", term), lab.log("plain", term)


def gatys_fails(lab: Laboratory) -> Finding:
    """From the easy to the hard style Gatys' optimization loses more of the content's outlines than AdaIN does, and it
    copies more of the hard one's picture."""
    easy, hard = (lab.optimized(*style) for style in (EASY_STYLE, HARD_STYLE))
    lost = [before - after for before, after in zip(easy.edges, hard.edges, strict=True)]
    shown = "; ".join(
        "{} style, edges {:.2f}, {:.2f}, leakage {:.2f}, {:.2f}".format(name, *beside.edges, *beside.leakage)
        for name, beside in (("easy", easy), ("hard", hard))
    )
    fails = lost[1] > lost[0] + 0.1 and hard.leakage[1] > hard.leakage[0] + 0.1
    return Finding(f"AdaIN and {lab.iterations} iterations: {shown}", fails)


def faster(lab: Laboratory) -> Finding:
    """The time of the optimization over that of AdaIN."""
    slower = lab.optimized(*EASY_STYLE).slower
    return Finding(f"{lab.iterations} iterations take {slower:.0f} times as long", slower > 100)


def parameters(lab: Laboratory) -> Finding:
    """How large the decoders are."""
    counts = {
        model: sum(parameter.numel() for parameter in lab.model(model).decoder.parameters())
        for model in ("plain", "concat-content", "concat-style", "concat-both")
    }
    shown = ", ".join(f"{model} {count:,}" for model, count in counts.items())
    return Finding(shown, max(counts.values()) == counts["plain"])


def comparable_layers(lab: Laboratory) -> Finding:
    """The largest layer's style loss over the smallest one's, for the photographs as they are."""
    spreads = {}
    for space in ("vgg19-normalised", "vgg19-torchvision"):
        encoder, _ = load_encoder(space)
        losses = lab.photographs(encoder.to(next(lab.loss_network.parameters()).device)).values()
        spreads[space] = max(losses) / min(losses)
    shown = ", ".join(f"{space} {spread:.0f}" for space, spread in spreads.items())
    return Finding(f"largest over smallest layer: {shown}", spreads["vgg19-normalised"] < spreads["vgg19-torchvision"])


def printed_losses(lab: Laboratory) -> Finding:
    """The shares of the layers in the style loss of the photographs, for norms and for mean squares."""
    shares = []
    for convention in ("euclidean", "mse"):
        losses = lab.photographs(convention=convention).values()
        shares.append([loss / sum(losses) for loss in losses])
    texts = ["; ".join(f"{share:.0%}" for share in part) for part in shares]
    same = all(abs(a - b) < 0.1 for a, b in zip(*shares, strict=True))
    return Finding(f"shares of the layers, norms: {texts[0]}; mean squares: {texts[1]}", same)


def within_a_tenth(theirs: float, plain: float) -> bool:
    """Whether two numbers differ by little."""
    return abs(theirs / plain - 1) < 0.1


STYLE_SKIPS = ("add-style", "concat-style")
CLAIMS = [
    Claim("With a style weight of 1 only colors are taken over.", "figure 2", colors_only),
    Claim(
        "More weight brings more of the style's texture.",
        "figure 2",
        by_weight("relu3_1 and relu4_1 of the style loss", lambda n: n.style["relu3_1"] + n.style["relu4_1"]),
    ),
    Claim(
        "The more weight the style has, the worse alpha 0 rebuilds the content.",
        "figure 8",
        by_weight("PSNR in dB", lambda n: n.rebuilt, places=1),
    ),
    Claim(
        "Skips from the style lower the style loss.",
        "figures 3, 4",
        beside_plain("style loss", lambda n: n.total_style, STYLE_SKIPS, lambda theirs, plain: theirs < plain),
    ),
    Claim(
        "They copy the style's picture.",
        "figures 3, 4",
        beside_plain("leakage", lambda n: n.leakage, STYLE_SKIPS, lambda theirs, plain: theirs > plain + 0.1),
    ),
    Claim(
        "The content's maps, concatenated, keep eyes and outlines.",
        "figure 4",
        beside_plain("edges", lambda n: n.edges, ("concat-content",), lambda theirs, plain: theirs > plain + 0.02),
    ),
    Claim(
        "The content's maps, added, change little.",
        "figure 3",
        beside_plain("content + style loss", lambda n: n.content + n.total_style, ("add-content",), within_a_tenth),
    ),
    Claim("Concatenation needs no more parameters.", "figure 4", parameters),
    Claim("With pre-normalized input the losses are 5 to 10 times as large.", "figure 9", larger_losses),
    Claim("Its curves are rougher.", "figure 9", rougher_curves),
    Claim(
        "Its pictures are darker.",
        "figure 7",
        beside_plain(
            "mean luminance", lambda n: n.light, ("pre-normalized",), lambda theirs, plain: theirs < plain - 0.01
        ),
    ),
    Claim(
        "Batch normalization cannot take on a style.",
        "section 2.1",
        beside_plain("style loss", lambda n: n.total_style, ("norm-batch",), lambda theirs, plain: theirs > 2 * plain),
    ),
    Claim("Gatys' optimization fails on a hard style, AdaIN does not.", "figures 5, 6", gatys_fails),
    Claim("AdaIN is more than a hundred times as fast.", "figures 5, 6", faster),
    Claim("The normalized VGG makes the layers' losses comparable in size.", "section 2.3", comparable_layers),
    Claim("Equation 3 as printed, norms, weighs the layers as mean squares do.", "equation 3", printed_losses),
]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.claims", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, metavar="DIR", help="folder with a run for each recipe")
    parser.add_argument("--content", type=Path, nargs="+", help="folders or files (default: the examples)")
    parser.add_argument("--style", type=Path, nargs="+", help="folders or files (default: the examples)")
    parser.add_argument("--every", type=positive_int, default=1, metavar="N", help="each N-th of the pairs only")
    parser.add_argument("--size", type=square_side, default=256, help="side of the squares in pixels (default: 256)")
    parser.add_argument("--iterations", type=positive_int, default=300, help="of Gatys' optimization (default: 300)")
    parser.add_argument("--loss-network", default="vgg19-normalised", help="a preset or an encoder's file")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for claims.md")
    add_options(parser, ModelOptions, "device")
    return parser.parse_args(argv)


def row_of(claim: Claim, lab: Laboratory) -> str:
    """The table's line of a claim."""
    try:
        finding = claim.test(lab)
    except HubError:
        return f"| {claim.text} | {claim.place} | not measured: a network that it needs is not here | |\n"
    except (TrainingError, WeightsError) as error:
        return f"| {claim.text} | {claim.place} | not measured: {str(error).rstrip('.')} | |\n"
    return f"| {claim.text} | {claim.place} | {finding.measured} | {'yes' if finding.holds else 'no'} |\n"


def measure_claims(args: argparse.Namespace) -> None:
    encoder, space = load_encoder(args.loss_network)
    contents, styles = (
        find_images(*places)
        for places in (args.content or example_pictures("photo"), args.style or example_pictures("style"))
    )
    paths = pair_paths(contents, styles, every=args.every)
    pairs = Pairs(paths, encoder.to(resolve_device(args.device)), args.size)
    lab = Laboratory(Study(args.runs, device=args.device), pairs, args.iterations)
    heading = f"{len(pairs)} pairs at {args.size} x {args.size}; loss network {space}\n\n"
    heading += "| claim | place | measured | holds |\n| --- | --- | --- | --- |\n"
    rows = []
    print(heading, end="", flush=True)
    for claim in CLAIMS:
        rows.append(row_of(claim, lab))
        print(rows[-1], end="", flush=True)
    if args.out:
        write_atomically(args.out / "claims.md", (heading + "".join(rows)).encode())


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(measure_claims, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
