"""Spaces: the names by which features, styles and decoders of the same encoder know each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..networks.encoder import Encoder
from .errors import WeightsError
from .presets import VGG19_NORMALIZED, VGG19_TORCHVISION

HASHED_SPACE = re.compile(r".+-([0-9a-f]{8})")

# The digest of the color map and conv1_1.
_NORMALIZED = "a9c20179"
# The first filter of conv1_1, [RGB, 3, 3], to as many digits as PyTorch prints.
_TORCHVISION = torch.tensor(
    [
        [-0.053474, -0.049257, -0.067942, 0.015314, 0.045068, 0.0021444, 0.036226, 0.019999, 0.019864],
        [0.017015, 0.055403, -0.0062293, 0.14165, 0.22705, 0.13758, 0.12, 0.2003, 0.092114],
        [-0.044885, 0.01268, -0.014497, 0.059742, 0.13955, 0.054102, -0.00096141, 0.058304, -0.029663],
    ]
).view(3, 3, 3)


def space_of(name: str, encoder: Encoder) -> str:
    """The space of an encoder: the normalized VGG-19's well-known name, or ``<name>-<digest>``."""
    if is_encoder_of(VGG19_NORMALIZED, encoder):
        return VGG19_NORMALIZED
    return f"{name}-{digest(encoder.state_dict())}"


def is_encoder_of(space: str, encoder: Encoder) -> bool:
    """Whether an encoder may be that of a space; of a name that is neither well known nor has a digest nothing is known
    that could contradict it."""
    state = encoder.state_dict()
    if space == VGG19_NORMALIZED:
        return digest({key: state[key] for key in state if key.startswith(("color.", "conv1_1."))}) == _NORMALIZED
    if space == VGG19_TORCHVISION:
        # In half precision, as in the smallest files.
        return torch.allclose(state["conv1_1.weight"][0].cpu().float(), _TORCHVISION, rtol=1e-3, atol=1e-6)
    hashed = HASHED_SPACE.fullmatch(space)
    return not hashed or hashed[1] == digest(state)


def check_space(space: str, encoder: Encoder, path: Path) -> None:
    """Refuse an encoder that is not that of its space.

    Raises:
        WeightsError: it is damaged, was changed, or is another.
    """
    if not is_encoder_of(space, encoder):
        raise WeightsError(f"{path} is damaged or was changed: its encoder is not that of its space {space}.")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """The first 8 hex digits of the SHA-256 of tensors in half precision, in the order of their names."""
    sha256 = hashlib.sha256()
    for key in sorted(tensors):
        sha256.update(key.replace("color.", "colour.").encode())  # spelled so when the first spaces got their names
        sha256.update(tensors[key].detach().cpu().half().contiguous().numpy().tobytes())
    return sha256.hexdigest()[:8]
