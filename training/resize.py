"""Make a trained model narrower or wider, or give it other skips, by least squares: a start for training.fit.

    python -m training.resize --content DIR --style DIR --model MODEL --widths 16,48,64,256 --out FILE
    python -m training.resize --content DIR --style DIR --model MODEL --decoder add-content --out FILE

Of each convolution's channels those stay that the layers behind them need most (greedily, by what they explain of those
layers' outputs; He et al. 2017, arXiv 1707.06168, choose likewise); then, from the first layer to the last, the weights
are fitted to the original's outputs on crops of both folders. Channels that say nothing, such as those whose ReLU never
opens, go even where there is room, and random ones take their places: at the model's own widths that is all that
happens to its encoder. The model has a plain decoder or concatenated skips from the content.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from adain_core.cli.options import positive_int
from adain_core.decoder import Decoder
from adain_core.encoder import DEEPEST_TAP, Conv3x3, Encoder
from adain_core.skips import Skips
from adain_core.stats import StyleStats
from adain_core.transfer import Blend
from adain_core.weights import Weights, load_model, save_weights, space_of

from .benchmark import four_widths
from .command import TrainingError, run_command, square_side
from .data import RandomCrops
from .networks import initialise

_RECOLOR = 0.5
_RIDGE = 1e-4  # of the mean square of the inputs
_NOTHING = 1e-7  # share of the next layers' outputs
_OPEN = 0.4  # share of the places where the ReLU of a random channel is open
_CHUNK = 4


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.resize", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--model", required=True, help="an embedded model or a file, with its encoder")
    parser.add_argument("--widths", type=four_widths, help="channels of the four blocks (default: the model's)")
    parser.add_argument("--decoder", help="kind of skips, such as plain or add-content (default: the model's)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=positive_int, default=48, help="of crops to fit to (default: 48)")
    parser.add_argument("--crop", type=square_side, default=128, help="side of the crops (default: 128)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


Convolve = Callable[[str, Tensor], Tensor]


def walk(encoder: Encoder, decoder: Decoder, images: Tensor, convolve: Convolve) -> Tensor:
    """Stylise with another function in the place of the convolutions.

    Args:
        encoder: for its order of layers.
        decoder: for its order of layers and its skips.
        images: [2 B, 3, H, W] in 0..1, H and W multiples of 8: contents, then styles.
        convolve: makes of ``encoder.conv1_1`` and so on and all that this layer sees its output before the ReLU.

    Returns:
        [B, 3, H, W].
    """
    skips, x = decoder.skips, images
    taps: dict[str, Tensor] = {}
    for block, names in enumerate(encoder.blocks):
        x = F.max_pool2d(x, 2) if block else x
        for name in names:
            x = F.relu(convolve(f"encoder.{name}", x))
            taps[name.replace("conv", "relu")] = x
    contents, styles = ({tap: x.chunk(2)[i] for tap, x in taps.items()} for i in (0, 1))
    blend = Blend(StyleStats.measure({tap: styles[tap] for tap in (DEEPEST_TAP, *skips.taps)}, space=""))
    x = blend.apply(contents[DEEPEST_TAP], contents[DEEPEST_TAP], DEEPEST_TAP)
    x = convolve(f"decoder.{decoder.names[0]}", x)
    for before, name in pairwise(decoder.names):
        x = F.relu(x)
        if before.endswith("_1"):
            tap = f"relu{name[4]}_1"
            joined = skips.maps(tap, contents[tap], [blend], [styles[tap]]) if tap in skips.taps else []
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = x + skips.strength * sum(joined) if skips.join == "add" else torch.cat([x, *joined], dim=1)
        x = convolve(f"decoder.{name}", x)
    return x


def layers(encoder: Encoder, decoder: Decoder) -> dict[str, Conv3x3]:
    """The convolutions of both, in their order."""
    networks = {"encoder": encoder, "decoder": decoder}
    order = [
        *(f"encoder.{name}" for names in encoder.blocks for name in names),
        *(f"decoder.{n}" for n in decoder.names),
    ]
    return {key: networks[key.split(".")[0]].get_submodule(key.split(".")[1]) for key in order}


def moments(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """X^T X and X^T Y of the patches X that a convolution sees, a column of ones for its bias included, and its outputs
    Y."""
    gram = cross = torch.zeros(())
    for x, y in zip(inputs.split(_CHUNK), outputs.split(_CHUNK), strict=True):
        patches = F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3).transpose(1, 2).flatten(0, 1)
        patches = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)
        gram = gram + (patches.T @ patches).double()
        cross = cross + (patches.T @ y.permute(0, 2, 3, 1).flatten(0, 2)).double()
    return gram, cross


def fit_convolution(conv: Conv3x3, inputs: Tensor, outputs: Tensor) -> None:
    """Give the first channels of a convolution the weights that come nearest to some outputs (ridge regression)."""
    gram, cross = moments(inputs, outputs)
    ridge = torch.full((len(gram),), _RIDGE * gram.diagonal().mean().item(), dtype=gram.dtype)
    ridge[-1] = 0
    solution = torch.linalg.solve(gram + ridge.diag(), cross).T.float()
    count = outputs.shape[1]
    conv.weight[:count] = solution[:, :-1].view(count, conv.in_channels, 3, 3)
    conv.bias[:count] = solution[:, -1]


def open_channels(conv: Conv3x3, inputs: Tensor, first: int) -> None:
    """Scale and shift the random channels from ``first`` on so that their outputs have deviation 1 and open the ReLU at
    a share of the places."""
    conv.bias[first:] = 0
    values = conv(inputs)[:, first:].transpose(0, 1).flatten(1)
    values = values[:, :: max(1, values.shape[1] // 2**16)]
    deviation = values.std(dim=1)
    conv.weight[first:] /= deviation[:, None, None, None]
    conv.bias[first:] = -(values / deviation[:, None]).quantile(1 - _OPEN, dim=1)


@dataclass(frozen=True)
class Use:
    """A layer that sees N channels: X^T X of its patches of them, [9 N, 9 N], and its weights [C', 9 N], scaled so that
    its outputs have the mean square 1."""

    gram: Tensor
    weight: Tensor

    @classmethod
    def of(cls, conv: Conv3x3, inputs: Tensor, first: int, count: int) -> Use:
        """What ``conv`` does with the channels ``first`` to ``first + count`` of its inputs."""
        part = slice(9 * first, 9 * (first + count))
        gram = moments(inputs, inputs[:, :1])[0][part, part]
        weight = conv.weight[:, first : first + count].flatten(1).double()
        return cls(gram, weight / torch.einsum("oi,ij,oj->", weight, gram, weight).sqrt())

    def gains(self) -> Tensor:
        """How much of the outputs' mean square each channel explains, [N]."""
        count = len(self.gram) // 9
        blocks = self.gram.view(count, 9, count, 9).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        floor = 1e-9 * self.gram.diagonal().max().clamp(min=1e-12)
        inverse = torch.linalg.inv(blocks + floor * torch.eye(9, dtype=blocks.dtype))
        effect = (self.weight @ self.gram).view(-1, count, 9)
        return torch.einsum("oci,cij,ocj->c", effect, inverse, effect)

    def without(self, channel: int) -> Use:
        """What is left to explain once a channel is known."""
        part = slice(9 * channel, 9 * channel + 9)
        rows = self.gram[part]
        block = rows[:, part] + 1e-9 * torch.eye(9, dtype=rows.dtype)
        return Use(self.gram - rows.T @ torch.linalg.solve(block, rows), self.weight)


def choose(uses: Sequence[Use], count: int) -> list[int]:
    """At most ``count`` channels that together explain most of what the layers behind make of all of them."""
    chosen: list[int] = []
    while len(chosen) < count:
        gains = torch.stack([use.gains() for use in uses]).sum(dim=0)
        gains[chosen] = 0
        if gains.max() < _NOTHING:
            break
        chosen.append(int(gains.argmax()))
        uses = [use.without(chosen[-1]) for use in uses]
    return sorted(chosen)


def uses_of(key: str, convs: dict[str, Conv3x3], inputs: dict[str, Tensor], decoder: Decoder) -> list[Use]:
    """What the layers behind a convolution do with its channels."""
    count = convs[key].out_channels
    behind = dict(pairwise(convs))[key]
    uses = [Use.of(convs[behind], inputs[behind], 0, count)]
    network, name = key.split(".")
    if network == "encoder" and name.replace("conv", "relu") in decoder.skips.taps:
        joined = next(
            f"decoder.{n}" for before, n in pairwise(decoder.names) if before.endswith("_1") and n[4] == name[4]
        )
        uses.append(Use.of(convs[joined], inputs[joined], convs[joined].in_channels - count, count))
    return uses


def new_skips(old: Decoder, model: str, wanted: str | None) -> Skips:
    """The skips of the new decoder: those that are wanted, or the model's own.

    Raises:
        TrainingError: there are none of this name, or the model or the new decoder is of a kind that is not handled.
    """
    if old.skips.join not in ("plain", "concat") or old.skips.need_style_image or old.style_inside:
        raise TrainingError(
            f"{model} has a decoder of the kind {old.skips}; expected plain or concatenated skips from the content."
        )
    try:
        skips = Skips.parse(wanted) if wanted else old.skips
    except ValueError as error:
        raise TrainingError(str(error)) from error
    if skips.join == "concat2":
        raise TrainingError(f"{skips} has other layers than the mirrored decoder; expected plain, add or concat.")
    return skips


def resize(args: argparse.Namespace) -> None:
    old = load_model(args.model)
    skips = new_skips(old.decoder, args.model, args.decoder)
    widths = args.widths or old.encoder.widths
    torch.manual_seed(args.seed)
    images = torch.cat([crops(args, args.content, 0, 0.0), crops(args, args.style, 1, _RECOLOR)])
    encoder, decoder = Encoder(widths), Decoder(widths, skips)
    initialise(encoder)
    initialise(decoder)
    convs, resized = layers(old.encoder, old.decoder), layers(encoder, decoder)
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def record(key: str, x: Tensor) -> Tensor:
        inputs[key] = x
        outputs[key] = convs[key](x)
        return outputs[key]

    # The colour map belongs to the layer that a walk knows as conv1_1.
    coloured = torch.einsum("oi,bihw->bohw", old.encoder.colour.weight, images) + old.encoder.colour.bias.view(-1, 1, 1)
    encoder.colour.load_state_dict(old.encoder.colour.state_dict())
    picture = walk(old.encoder, old.decoder, coloured, record)

    def refit(key: str, x: Tensor) -> Tensor:
        conv, last = resized[key], key == "decoder.conv1_1"
        kept = [0, 1, 2] if last else choose(uses_of(key, convs, inputs, old.decoder), conv.out_channels)
        fit_convolution(conv, x, outputs[key][:, kept])
        if len(kept) < conv.out_channels:
            open_channels(conv, x, len(kept))
        print(f"{key}: {len(kept)} of {convs[key].out_channels} kept, {conv.out_channels - len(kept)} new", flush=True)
        return conv(x)

    distance = (walk(encoder, decoder, coloured, refit) - picture).abs().mean().item()
    print(f"The pictures differ by {distance:.4f} on average, in 0..1.")
    save_weights(Weights(space_of(args.out.stem, encoder), encoder, decoder), args.out, torch.float32)


def crops(args: argparse.Namespace, folder: Path, seed: int, recolor: float) -> Tensor:
    """Crops of a folder, [pairs, 3, H, W] in 0..1."""
    sizes = (args.crop * 5 // 4, args.crop * 9 // 4)
    source = RandomCrops(folder, args.crop, sizes, args.seed + seed, recolor=recolor)
    return torch.stack([source[i][0] for i in range(args.pairs)]).float().div(255)


def main(argv: Sequence[str] | None = None) -> int:
    with torch.no_grad():
        return run_command(resize, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
