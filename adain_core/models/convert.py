"""Other people's networks, recognized by their keys and shapes and brought into this package's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ..networks.decoder import Decoder
from ..networks.encoder import IMAGENET_MEAN, IMAGENET_STD, Encoder
from ..networks.skips import Skips

_UP_TO_RELU4_1 = 9


@dataclass(frozen=True)
class Layout:
    """Where a kind of checkpoint keeps its convolutions.

    Args:
        name: whose layout it is.
        part: what such a checkpoint is.
        convolutions: their modules in the order of computation.
        color: an encoder's 1x1 convolution from RGB; ImageNet's mean and standard deviation if it has none.
        join: the kind of skips that a decoder's shapes are made for.
    """

    name: str
    part: Literal["encoder", "decoder"]
    convolutions: tuple[str, ...]
    color: str | None = None
    join: Literal["plain", "concat2"] = "plain"

    def fits(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether these tensors are in this layout; an encoder may go on after relu4_1."""
        needed = self.convolutions[: _UP_TO_RELU4_1 if self.part == "encoder" else None]
        if not all(f"{module}.{part}" in tensors for module in needed for part in ("weight", "bias")):
            return False
        weights = [tensors[f"{module}.weight"] for module in needed]
        if not all(x.ndim == 4 and x.shape[2:] == (3, 3) for x in weights):
            return False
        if self.part == "decoder":
            return {key.rpartition(".")[0] for key in tensors} == set(needed) and weights[-1].shape[0] == 3
        color = tensors.get(f"{self.color}.weight")
        if self.color and (color is None or color.shape != (3, 3, 1, 1) or f"{self.color}.bias" not in tensors):
            return False
        return weights[0].shape[1] == 3 and all(a.shape[0] == b.shape[1] for a, b in pairwise(weights))


def _within(block: str, *places: int) -> list[str]:
    return [f"{block}.{place}" for place in places]


_PYTORCH_ADAIN = [str(place) for place in (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42)]
_FEATURES = _within("features", 0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)


def _split_encoders(prefix: str) -> tuple[Layout, Layout]:
    """The encoders that are cut into four parts after relu1_1, relu2_1 and relu3_1."""
    first, second, third, fourth = (f"{prefix}{number}" for number in range(1, 5))
    renumbered = [f"{first}.2", *_within(second, 1, 5), *_within(third, 1, 5), *_within(fourth, 1, 4, 7, 11)]
    numbered = [f"{first}.0", *_within(second, 2, 5), *_within(third, 7, 10), *_within(fourth, 12, 14, 16, 19)]
    return (
        Layout("normalized VGG-19 in four parts", "encoder", tuple(renumbered), f"{first}.0"),
        Layout("torchvision's VGG-19 in four parts", "encoder", tuple(numbered)),
    )


LAYOUTS = (
    Layout("pytorch-AdaIN's vgg", "encoder", tuple(_PYTORCH_ADAIN), "0"),
    Layout("pytorch-AdaIN's decoder", "decoder", tuple(map(str, (1, 5, 8, 11, 14, 18, 21, 25, 28)))),
    Layout("torchvision's VGG-19", "encoder", tuple(_FEATURES)),
    *_split_encoders("encoder_"),
    *_split_encoders("enc_"),
    Layout(
        "the study's decoder",
        "decoder",
        ("decoder_4.1", *_within("decoder_3", 1, 4, 7, 10), *_within("decoder_2", 1, 4), *_within("decoder_1", 1, 4)),
    ),
    Layout(
        "the study's decoder with concatenated skips",
        "decoder",
        (
            *("decoder_4.1", "decoder_3_cat.1", *_within("decoder_3", 1, 4, 7), "decoder_2_cat.1"),
            *(*_within("decoder_2", 1, 4, 7), *_within("decoder_1", 1, 4)),
        ),
        join="concat2",
    ),
)


@dataclass(frozen=True)
class Found:
    """A network found in a checkpoint: in which layout, and its tensors with the keys of that layout."""

    layout: Layout
    tensors: Mapping[str, Tensor]

    def encoder(self, blocks: int = 4) -> tuple[Encoder, dict[str, Tensor]]:
        """An encoder without weights and the state that belongs into it, cut after the first layer of the last
        block."""
        shapes = [self.tensors[f"{module}.weight"].shape[0] for module in self.layout.convolutions[:_UP_TO_RELU4_1]]
        widths = [shapes[place] for place in (0, 2, 4, 8)]
        if blocks == 5:
            widths.append(self.tensors[f"{self.layout.convolutions[12]}.weight"].shape[0])
        with torch.device("meta"):
            encoder = Encoder(widths)
        state = self._state([name for names in encoder.blocks for name in names])
        if self.layout.color:
            state["color.weight"] = self.tensors[f"{self.layout.color}.weight"].reshape(3, 3)
            state["color.bias"] = self.tensors[f"{self.layout.color}.bias"]
        else:
            state["color.weight"] = torch.diag(1 / torch.tensor(IMAGENET_STD))
            state["color.bias"] = -torch.tensor(IMAGENET_MEAN) / torch.tensor(IMAGENET_STD)
        return encoder, state

    def decoder(self, skips: Skips | None = None) -> tuple[Decoder, dict[str, Tensor]]:
        """A decoder without weights and the state that belongs into it; plain checkpoints do not say whether they were
        trained with added skips, nor any from what the skips come.

        Raises:
            ValueError: the layout is not made for these skips.
        """
        skips = skips or (Skips("concat2") if self.layout.join == "concat2" else Skips())
        possible = ("concat2-content", "concat2-style") if self.layout.join == "concat2" else ("plain", "add")
        if not str(skips).startswith(possible):
            raise ValueError(f"{self.layout.name} cannot have the skips {skips}; expected {' or '.join(possible)}.")
        widths = [self.tensors[f"{self.layout.convolutions[0]}.weight"].shape[1]]
        with torch.device("meta"):
            names = Decoder(skips=skips).names
        for module, name in zip(self.layout.convolutions, names, strict=True):
            if name in ("conv4_1", "conv3_1", "conv2_1"):
                widths.insert(0, self.tensors[f"{module}.weight"].shape[0])
        with torch.device("meta"):
            decoder = Decoder(widths, skips)
        return decoder, self._state(names)

    def _state(self, names: list[str]) -> dict[str, Tensor]:
        return {
            f"{name}.{part}": self.tensors[f"{module}.{part}"]
            for module, name in zip(self.layout.convolutions, names, strict=False)
            for part in ("weight", "bias")
        }


def find_networks(tensors: Mapping[str, Tensor], most_prefixes: int = 16) -> list[Found]:
    """The encoders and decoders in the tensors of a checkpoint, whatever prefixes are before their keys, but no more
    than so many: a key may consist of dots."""
    found = [Found(layout, tensors) for layout in LAYOUTS if layout.fits(tensors)]
    groups: dict[str, dict[str, Tensor]] = {}
    for key, x in tensors.items():
        first, dot, rest = key.partition(".")
        if dot:
            groups.setdefault(first, {})[rest] = x
    if most_prefixes:
        found += [network for group in groups.values() for network in find_networks(group, most_prefixes - 1)]
    return found


def in_current_layout(network: Encoder | Decoder, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the keys that a network has today.

    Older files write ``colour`` for an encoder's color map. They, and other people's checkpoints, have one weight where
    a decoder has a convolution for the upsampled map and one for each map that joins it.
    """
    current = {key.replace("colour.", "color."): x for key, x in state.items()}
    return _split_joined(network, current) if isinstance(network, Decoder) else current


def _split_joined(decoder: Decoder, state: dict[str, Tensor]) -> dict[str, Tensor]:
    channels = {name: x.shape[1] for name, x in decoder.state_dict().items() if x.ndim == 4}
    for name in decoder.names:
        keys = [f"{part}.weight" for part in decoder.parts_of(name)]
        sizes = [channels[key] for key in keys]
        whole = state.get(keys[0])
        if len(sizes) > 1 and whole is not None and whole.ndim == 4 and whole.shape[1] == sum(sizes):
            state = state | {k: x.contiguous() for k, x in zip(keys, whole.split(sizes, dim=1), strict=True)}
    return state
