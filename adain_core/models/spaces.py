"""Spaces: the names by which features, styles and decoders of the same encoder know each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from torch import Tensor

from ..networks.encoder import Encoder
from .presets import VGG19_NORMALIZED

# The digest of the color map and conv1_1 of encoders that everyone knows.
_WELL_KNOWN = {"a9c20179": VGG19_NORMALIZED}
HASHED_SPACE = re.compile(r".+-([0-9a-f]{8})")


def space_of(name: str, encoder: Encoder) -> str:
    """The space of an encoder: a well-known name, or ``<name>-<digest>``."""
    state = encoder.state_dict()
    known = digest({key: state[key] for key in state if key.startswith(("color.", "conv1_1."))})
    return _WELL_KNOWN.get(known) or f"{name}-{digest(state)}"


def digest(tensors: Mapping[str, Tensor]) -> str:
    """The first 8 hex digits of the SHA-256 of tensors in half precision, in the order of their names."""
    sha256 = hashlib.sha256()
    for key in sorted(tensors):
        sha256.update(key.replace("color.", "colour.").encode())  # spelled so when the first spaces got their names
        sha256.update(tensors[key].detach().cpu().half().contiguous().numpy().tobytes())
    return sha256.hexdigest()[:8]
