"""Normalize an encoder so that the mean activation of every filter after its ReLU is one over a set of images.

    python -m training.normalize_vgg --images DIR --encoder vgg19-torchvision --out vgg_normalised.safetensors

Gatys et al. (2015) did this to VGG-19, and the AdaIN paper's encoder is such a one (the study, 2.3.1). Dividing a
filter and its bias by its mean, and multiplying the next layer's weights for that input by it, leaves the function of
the network unchanged up to a scale for each channel, since ReLU and max pooling commute with positive factors. So the
means of the layers may all be measured in one pass over the images. Filters that never fire are left alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from adain_core.cli.options import add_options
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, load_encoder, save_weights
from adain_core.networks.convolution import Conv3x3
from adain_core.networks.encoder import Encoder
from adain_core.options import ModelOptions
from adain_core.runtime.device import resolve_device

from .command import run_command, square_side
from .data import center_square, find_images

_DEAD = 1e-6
"""A filter whose mean is a smaller share than this of its layer's largest never fires to any purpose."""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.normalize_vgg", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of images to calibrate on")
    parser.add_argument("--encoder", default="vgg19-torchvision", help="a preset or an encoder's file")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--size", type=square_side, default=256, help="side of the squares in pixels (default: 256)")
    add_options(parser, ModelOptions, "device")
    return parser.parse_args(argv)


@torch.inference_mode()
def mean_activations(encoder: Encoder, images: Iterable[Tensor]) -> dict[str, Tensor]:
    """For each convolution the mean of every filter [C] after the ReLU, over images [B, 3, H, W] and positions."""
    names = [name for block in encoder.blocks for name in block]
    taps = {name: name.replace("conv", "relu") for name in names}
    sums = dict.fromkeys(names, torch.zeros(()))
    counts = dict.fromkeys(names, 0)
    for image in images:
        features = encoder(image, taps.values())
        for name in names:
            x = features[taps[name]].double()
            sums[name] = sums[name] + x.sum(dim=(0, 2, 3))
            counts[name] += x.numel() // x.shape[1]
    return {name: sums[name] / counts[name] for name in names}


@torch.no_grad()
def rescale(encoder: Encoder, means: Mapping[str, Tensor]) -> int:
    """Divide every filter by its mean, in place, and undo that in the next layer: the number of dead filters, which
    stay as they are."""
    dead = 0
    before: Tensor | None = None
    for name in (name for block in encoder.blocks for name in block):
        conv: Conv3x3 = getattr(encoder, name)
        fires = means[name] > _DEAD * means[name].max()
        dead += int((~fires).sum())
        factor = torch.where(fires, means[name], torch.ones_like(means[name]))
        weight = conv.weight.double()
        if before is not None:
            weight = weight * before[None, :, None, None]
        conv.weight.copy_(weight / factor[:, None, None, None])
        conv.bias.copy_(conv.bias.double() / factor)
        before = factor
    return dead


def normalize(args: argparse.Namespace) -> None:
    device = resolve_device(args.device)
    encoder = load_encoder(args.encoder)[0].to(device)
    paths = find_images(args.images)
    images = (center_square(path, args.size).to(device) for path in tqdm(paths, "calibrate", disable=None))
    dead = rescale(encoder, mean_activations(encoder, images))
    space = space_of(args.out.stem, encoder.cpu())
    # Half precision would move the means by more than the calibration's own error.
    save_weights(Weights(space, encoder=encoder), args.out, torch.float32)
    print(f"{args.out}: space {space}, calibrated on {len(paths)} images, {dead} dead filters left alone.")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(normalize, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
