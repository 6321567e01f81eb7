"""Make a trained model narrower or wider, or give it other skips, by least squares: a start for training.fit.

    python -m training.resize --content DIR --style DIR --model MODEL --widths 16,48,64,256 --out FILE
    python -m training.resize --content DIR --style DIR --model MODEL --decoder add-content --out FILE

Of each convolution's channels those stay that the layers behind them need most: greedily, by what they explain of those
layers' outputs (He et al. 2017, arXiv 1707.06168, do so by LASSO). Then, from the first layer to the last, the weights
are fitted to the original's outputs on crops of both folders. Channels that say nothing, such as those whose ReLU never
opens, go even where there is room, and random ones take their places: at the model's own widths that is all that
happens to its encoder. Without --widths the encoder stays as it is, and so does a decoder that gets -transport on the
same skips: what that changes in the pictures is what it is for.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from adain_core.cli.options import check_output
from adain_core.models.convert import in_current_layout
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, load_model, save_weights
from adain_core.networks.convolution import Conv3x3
from adain_core.networks.decoder import Decoder, tap_of
from adain_core.networks.encoder import DEEPEST_TAP, Encoder, conv_names
from adain_core.networks.skips import Skips
from adain_core.pipeline.blend import Blend, joined_maps
from adain_core.styles.stats import StyleStats

from .command import TrainingError, crop_side, four_widths, positive_int, run_command
from .data import RandomCrops
from .networks import initialize

_HANDLED = ("plain", "concat-content", "concat-content-adain", "concat-content-transport")
_RECOLOR = 0.5  # share of the style crops, as in the recipe lite
_CHUNK = 4  # crops at once: their patches take nine times their memory
_RIDGE = 1e-4  # of the mean square of the inputs
_NOTHING = 1e-7  # share of the next layers' outputs
_FLOOR = 1e-9  # far below _NOTHING: what it hides of a channel that is known counts as new
_TINY = 1e-30
_OPEN = 0.4  # share of the places where the ReLU of a random channel is open
_ENOUGH = 2**16  # values for a quantile, which sorts


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.resize", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, required=True, help="folder of photographs, searched recursively")
    parser.add_argument("--style", type=Path, required=True, help="folder of artworks, searched recursively")
    parser.add_argument(
        "--model", required=True, help="an embedded model, a .safetensors file with a decoder, or a folder with both"
    )
    parser.add_argument("--widths", type=four_widths, help="channels of the four blocks (default: the model's)")
    parser.add_argument("--decoder", help="kind of skips, such as plain or add-content (default: the model's)")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument(
        "--pairs", type=positive_int, default=48, help="crops of each kind, which all stay in memory (default: 48)"
    )
    parser.add_argument("--crop", type=crop_side, default=128, help="side of the crops, a multiple of 8 (default: 128)")
    parser.add_argument("--seed", type=int, default=0, help="of new weights and crops (default: 0)")
    return parser.parse_args(argv)


Convolve = Callable[[str, Tensor], Tensor]


def walk(decoder: Decoder, images: Tensor, convolve: Convolve) -> Tensor:
    """Stylize with another function in the place of the convolutions, which see maps that join as further channels.

    Args:
        decoder: for its order of layers and its skips.
        images: [2 B, 3, H, W] behind the encoder's color map, H and W multiples of 8: contents, then styles.
        convolve: from the name of a layer, such as ``encoder.conv1_1``, and its inputs [B, C, H, W] to its outputs
            before the ReLU.

    Returns:
        [B, 3, H, W].
    """
    skips, x = decoder.skips, images
    taps: dict[str, Tensor] = {}
    for block, names in enumerate(conv_names(4)):
        x = F.max_pool2d(x, 2) if block else x
        for name in names:
            x = F.relu(convolve(f"encoder.{name}", x))
            taps[name.replace("conv", "relu")] = x
    contents, styles = ({tap: x.chunk(2)[i] for tap, x in taps.items()} for i in (0, 1))
    measured = {tap: styles[tap] for tap in (DEEPEST_TAP, *skips.taps)}
    blend = Blend(StyleStats.measure(measured, space="", covariance_at=skips.transported))
    x = blend.apply(contents[DEEPEST_TAP], contents[DEEPEST_TAP], DEEPEST_TAP)
    x = convolve(f"decoder.{decoder.names[0]}", x)
    for before, name in pairwise(decoder.names):
        x = F.relu(x)
        if before.endswith("_1"):
            tap = tap_of(name)
            joined = joined_maps(skips, tap, contents[tap], [blend], [styles[tap]]) if tap in skips.taps else []
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = x + skips.strength * sum(joined) if skips.join == "add" else torch.cat([x, *joined], dim=1)
        x = convolve(f"decoder.{name}", x)
    return x


def layers(encoder: Encoder, decoder: Decoder) -> dict[str, Conv3x3]:
    """The convolutions of both by the names that :func:`walk` gives them, in its order. Those of the decoder are copies
    in which one convolution sees all that joins."""
    found: dict[str, Conv3x3] = {f"encoder.{n}": getattr(encoder, n) for names in conv_names(4) for n in names}
    for name in decoder.names:
        parts: list[Conv3x3] = [getattr(decoder, part) for part in decoder.parts_of(name)]
        weight = torch.cat([part.weight for part in parts], dim=1)
        found[f"decoder.{name}"] = conv = Conv3x3(weight.shape[1], len(weight))
        conv.load_state_dict({"weight": weight, "bias": parts[0].bias})
    return found


def moments(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """X^T X [N, N] and X^T Y [N, C'] in float64, N = 9 C + 1: of the patches X that a convolution sees of its inputs
    [B, C, H, W], with a one for its bias, and of outputs Y [B, C', H, W]."""
    gram = cross = torch.zeros(())
    for x, y in zip(inputs.split(_CHUNK), outputs.split(_CHUNK), strict=True):
        patches = F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3).transpose(1, 2).flatten(0, 1)
        patches = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)
        gram = gram + (patches.T @ patches).double()
        cross = cross + (patches.T @ y.permute(0, 2, 3, 1).flatten(0, 2)).double()
    return gram, cross


def fit_convolution(conv: Conv3x3, inputs: Tensor, outputs: Tensor) -> None:
    """Give the first n channels of a convolution the weights that come nearest to some outputs (ridge regression).

    Args:
        conv: changed in place.
        inputs: [B, C, H, W].
        outputs: [B, n, H, W], before the ReLU.
    """
    gram, cross = moments(inputs, outputs)
    ridge = (_RIDGE * gram.diagonal()[:-1].mean()).clamp(min=_TINY).repeat(len(gram))
    ridge[-1] = 0
    solution = torch.linalg.solve(gram + ridge.diag(), cross).T.float()
    count = outputs.shape[1]
    conv.weight[:count] = solution[:, :-1].view(count, conv.in_channels, 3, 3)
    conv.bias[:count] = solution[:, -1]


def open_channels(conv: Conv3x3, inputs: Tensor, first: int) -> None:
    """Scale and shift the random channels from ``first`` on so that their outputs on some inputs [B, C, H, W] have
    deviation 1 and open the ReLU at a share of the places."""
    conv.bias[first:] = 0
    values = conv(inputs)[:, first:].transpose(0, 1).flatten(1)
    values = values[:, :: math.ceil(values.shape[1] / _ENOUGH)]
    deviation = values.std(dim=1).clamp(min=1e-4)
    conv.weight[first:] /= deviation[:, None, None, None]
    conv.bias[first:] = -(values / deviation[:, None]).quantile(1 - _OPEN, dim=1)


@dataclass(frozen=True)
class Use:
    """A layer that sees N channels: the covariance [9 N, 9 N] of its patches of them, and its weights [C', 9 N], scaled
    so that the variances of its outputs sum to 1."""

    covariance: Tensor
    weight: Tensor

    @classmethod
    def of(cls, conv: Conv3x3, inputs: Tensor, first: int, count: int) -> Use:
        """What ``conv`` does with the channels ``first`` to ``first + count`` of its inputs [B, C, H, W]."""
        seen = inputs[:, first : first + count]
        gram = moments(seen, seen[:, :1])[0]
        # In units of each channel's own size, so that one floor does for all of them.
        size = gram.diagonal().clamp(min=_TINY).sqrt()
        gram = gram / size / size[:, None]
        # What is the same everywhere the bias can say: it counts for no channel.
        covariance = gram[:-1, :-1] - gram[:-1, -1:] @ gram[-1:, :-1]
        weight = conv.weight[:, first : first + count].flatten(1).double() * size[:-1]
        power = torch.einsum("oi,ij,oj->", weight, covariance, weight).clamp(min=_TINY)
        return cls(covariance, weight / power.sqrt())

    def gains(self) -> Tensor:
        """How much of the outputs' variance each channel explains, [N]."""
        count = len(self.covariance) // 9
        blocks = self.covariance.view(count, 9, count, 9).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        inverse = torch.linalg.inv(blocks + _floor())
        effect = (self.weight @ self.covariance).view(-1, count, 9)
        return torch.einsum("oci,cij,ocj->c", effect, inverse, effect)

    def without(self, channel: int) -> Use:
        """What is left to explain once a channel is known."""
        part = slice(9 * channel, 9 * channel + 9)
        rows = self.covariance[part]
        return Use(self.covariance - rows.T @ torch.linalg.solve(rows[:, part] + _floor(), rows), self.weight)


def _floor() -> Tensor:
    return _FLOOR * torch.eye(9, dtype=torch.float64)


def choose(uses: Sequence[Use], count: int) -> list[int]:
    """At most ``count`` channels, in order, that together explain most of what the layers behind make of all of them;
    fewer where the rest say nothing."""
    chosen: list[int] = []
    while len(chosen) < count:
        gains = torch.stack([use.gains() for use in uses]).sum(dim=0)
        gains[chosen] = 0
        if gains.max() < _NOTHING:
            break
        chosen.append(int(gains.argmax()))
        uses = [use.without(chosen[-1]) for use in uses]
    return sorted(chosen)


def uses_of(key: str, convs: dict[str, Conv3x3], inputs: dict[str, Tensor], skips: Skips) -> list[Use]:
    """What the layers behind a convolution do with its channels."""
    count = convs[key].out_channels
    behind = dict(pairwise(convs))[key]
    uses = [Use.of(convs[behind], inputs[behind], 0, count)]
    network, name = key.split(".")
    if network == "encoder" and name.replace("conv", "relu") in skips.taps:
        # The last layer of a block is the first of it in the decoder, and sees the skip behind its other inputs.
        joined = f"decoder.{conv_names(4)[int(name[4]) - 1][-1]}"
        uses.append(Use.of(convs[joined], inputs[joined], convs[joined].in_channels - count, count))
    return uses


def new_skips(old: Decoder, widths: Sequence[int], args: argparse.Namespace) -> Skips:
    """The skips of the new decoder: those that are wanted, or the model's own.

    Raises:
        TrainingError: there are none of this name, or the model or the new decoder is of a kind that is not handled.
    """
    if old.style_inside:
        raise TrainingError(f"The decoder of {args.model} has its one style inside; name a model that takes any style.")
    if str(old.skips) not in _HANDLED:
        raise TrainingError(
            f"{args.model} has the decoder {old.skips}; name a model with one of {', '.join(_HANDLED)}."
        )
    try:
        skips = old.skips if args.decoder is None else Skips.parse(args.decoder)
        with torch.device("meta"):
            Decoder(widths, skips)
    except ValueError as error:
        raise TrainingError(f"--decoder: {error}") from error
    if skips.join == "concat2":
        raise TrainingError(
            f"--decoder {skips} has other layers than the mirrored decoder; name one with add or concat."
        )
    return skips


def crops(args: argparse.Namespace, folder: Path, seed: int, recolor: float) -> Tensor:
    """Crops of a folder's images, [pairs, 3, H, W] in 0..1."""
    sizes = (args.crop * 5 // 4, args.crop * 9 // 4)
    source = RandomCrops(folder, args.crop, sizes, seed, recolor=recolor)
    return torch.stack([source[i][0] for i in range(args.pairs)]).float().div(255)


@torch.no_grad()
def resize(args: argparse.Namespace) -> None:
    check_output(args.out, overwrite=True)
    old = load_model(args.model)
    widths = args.widths or old.decoder.widths
    skips = new_skips(old.decoder, widths, args)
    torch.manual_seed(args.seed)
    images = torch.cat([crops(args, args.content, args.seed, 0.0), crops(args, args.style, args.seed + 1, _RECOLOR)])
    # Encoder folds its color map into conv1_1; a walk calls that layer by itself, so its images come colored.
    color = old.encoder.color
    images = F.conv2d(images, color.weight[..., None, None], color.bias)
    encoder, decoder = old.encoder, Decoder(widths, skips)
    stays = not args.widths and skips == replace(old.decoder.skips, normalization="transport") != old.decoder.skips
    if stays:
        decoder.load_state_dict(old.decoder.state_dict())
    else:
        initialize(decoder)
    if args.widths:
        encoder = Encoder(widths)
        initialize(encoder)
        encoder.color.load_state_dict(color.state_dict())
    originals, resized = layers(old.encoder, old.decoder), layers(encoder, decoder)
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def record(key: str, x: Tensor) -> Tensor:
        inputs[key] = x
        outputs[key] = originals[key](x)
        return outputs[key]

    def refit(key: str, x: Tensor) -> Tensor:
        conv, old_conv = resized[key], originals[key]
        if conv is old_conv:
            return outputs[key]
        if stays:
            return conv(x)
        last = key == "decoder.conv1_1"
        kept = list(range(3)) if last else choose(uses_of(key, originals, inputs, old.decoder.skips), conv.out_channels)
        fit_convolution(conv, x, outputs[key][:, kept])
        if len(kept) < conv.out_channels:
            open_channels(conv, x, len(kept))
        print(f"{key}: {len(kept)} of {old_conv.out_channels} kept, {conv.out_channels - len(kept)} new", flush=True)
        return conv(x)

    picture = walk(old.decoder, images, record)
    distance = (walk(decoder, images, refit) - picture).abs().mean().item()
    if not math.isfinite(distance):
        raise TrainingError("The fit gave numbers that are not finite; try other images or more --pairs.")
    print(f"The pictures differ by {distance:.4f} on average, in 0..1.")
    convs = {name: resized[f"decoder.{name}"].state_dict() for name in decoder.names}
    fitted = {f"{name}.{key}": x for name, state in convs.items() for key, x in state.items()}
    decoder.load_state_dict(in_current_layout(decoder, fitted))
    info: dict[str, str] = {key: old.info[key] for key in ("license", "origin") if key in old.info}
    space = space_of(args.out.stem, encoder) if args.widths else old.space
    save_weights(Weights(space, encoder, decoder, info), args.out, torch.float32)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(resize, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
