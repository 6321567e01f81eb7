"""Average the weights of a model before and after a training: the mean of two points on one way is often better than
either (Wortsman et al. 2022, "Model soups").

    python -m training.average --before MODEL --after MODEL --out FILE [--share 0.75]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from adain_core.cli.options import check_output
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, load_model, save_weights

from .command import TrainingError, run_command


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.average", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", required=True, help="a model with encoder and decoder")
    parser.add_argument("--after", required=True, help="what a training made of it")
    parser.add_argument("--share", type=float, default=0.5, help="of the second, 0..1 (default: 0.5)")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    return parser.parse_args(argv)


def average(args: argparse.Namespace) -> None:
    if not 0 <= args.share <= 1:
        raise TrainingError(f"--share {args.share}: expected a number from 0 to 1.")
    check_output(args.out, overwrite=True)
    before, after = load_model(args.before), load_model(args.after)
    for old, new in ((before.encoder, after.encoder), (before.decoder, after.decoder)):
        if shapes(old) != shapes(new):
            raise TrainingError(f"{args.before} and {args.after} differ in their layers; expected one model twice.")
        for weight, other in zip(new.state_dict().values(), old.state_dict().values(), strict=True):
            weight.lerp_(other, 1 - args.share)
    space = space_of(args.out.stem, after.encoder)
    save_weights(Weights(space, after.encoder, after.decoder, after.info), args.out, torch.float32)


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    """The names and shapes of a network's weights."""
    return {key: value.shape for key, value in network.state_dict().items()}


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(average, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
