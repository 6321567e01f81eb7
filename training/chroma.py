"""Take the grain of single colored pixels out of a model: the chroma of its decoder's last convolution gets smooth.

    python -m training.chroma --model MODEL --out FILE [--share 0.7]

What the convolution's weights have beyond their mean over the three output channels makes chroma. That part becomes its
own mean over the 3 x 3 taps. Luminance stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from adain_core.cli.options import check_output
from adain_core.models.weights import Weights, load_weights, resolve, save_weights
from adain_core.networks.decoder import Decoder

from .command import TrainingError, run_command


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.chroma", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="an embedded model or a file with a decoder")
    parser.add_argument("--share", type=float, default=1.0, help="how much of it, 0..1 (default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    return parser.parse_args(argv)


@torch.no_grad()
def smooth_chroma(decoder: Decoder, share: float) -> None:
    """Replace a share of the chroma in a decoder's last convolution by its mean over the taps, in place."""
    weight = decoder.conv1_1.weight
    chroma = weight - weight.mean(dim=0, keepdim=True)
    weight += share * (chroma.mean(dim=(2, 3), keepdim=True) - chroma)


def chroma(args: argparse.Namespace) -> None:
    if not 0 <= args.share <= 1:
        raise TrainingError(f"--share {args.share}: expected a number from 0 to 1.")
    check_output(args.out, overwrite=True)
    model = load_weights(resolve(args.model))
    if not model.decoder:
        raise TrainingError(f"{args.model} holds no decoder; name a model with one.")
    smooth_chroma(model.decoder, args.share)
    save_weights(Weights(model.space, model.encoder, model.decoder, model.info), args.out, torch.float32)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(chroma, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
