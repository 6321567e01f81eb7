"""Other people's checkpoints, recognised by their keys and turned into this package's layout."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .encoder import conv_names

# pytorch-AdaIN keeps both networks as nn.Sequential; these are the places of their convolutions.
_SEQUENTIAL_COLOUR = "0"
_SEQUENTIAL_ENCODER = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42)
_SEQUENTIAL_DECODER = (1, 5, 8, 11, 14, 18, 21, 25, 28)


def is_sequential_encoder(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are pytorch-AdaIN's ``vgg``, the full network or cut at relu4_1 or later."""
    return all(f"{place}.weight" in tensors for place in (0, *_SEQUENTIAL_ENCODER[:9]))


def is_sequential_decoder(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are pytorch-AdaIN's ``decoder``."""
    return {key.split(".")[0] for key in tensors} == {str(place) for place in _SEQUENTIAL_DECODER}


def encoder_from_sequential(tensors: Mapping[str, Tensor], blocks: int = 4) -> dict[str, Tensor]:
    """The state of an Encoder from pytorch-AdaIN's ``vgg`` (the normalised VGG-19), cut after the first layer of the
    last block."""
    names = [name for block in conv_names(blocks) for name in block]
    state = {
        "colour.weight": tensors[f"{_SEQUENTIAL_COLOUR}.weight"].reshape(3, 3),
        "colour.bias": tensors[f"{_SEQUENTIAL_COLOUR}.bias"],
    }
    for name, place in zip(names, _SEQUENTIAL_ENCODER, strict=False):
        state |= {f"{name}.{part}": tensors[f"{place}.{part}"] for part in ("weight", "bias")}
    return state


def decoder_from_sequential(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a plain Decoder from pytorch-AdaIN's ``decoder``."""
    names = [name for block in conv_names(4) for name in block][::-1]
    return {
        f"{name}.{part}": tensors[f"{place}.{part}"]
        for name, place in zip(names, _SEQUENTIAL_DECODER, strict=True)
        for part in ("weight", "bias")
    }
