"""The encoders that everyone knows, and where on the Hub they come from."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..runtime.progress import Progress, ignore_progress
from .addresses import HubError, HubFile, cache_folder
from .checkpoint import read_checkpoint
from .convert import LAYOUTS, Found, find_networks
from .hub import download, read_tensors
from .transfers import downloads_allowed

VGG19_NORMALIZED = "vgg19-normalised"
VGG19_TORCHVISION = "vgg19-torchvision"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preset:
    """An encoder on the Hub.

    Args:
        space: of its features.
        sources: the file and its mirrors.
        license: of the weights.
        origin: who made them.
        blocks: of VGG-19; four end at relu4_1, five at relu5_1.
    """

    space: str
    sources: tuple[HubFile, ...]
    license: str
    origin: str
    blocks: int = 4

    @property
    def size(self) -> int:
        """Of what is transferred, in bytes."""
        return self.sources[0].size or 0

    def fetch(self, progress: Progress = ignore_progress) -> Found:
        """Its tensors from the Hub: of a .safetensors file only those that are needed, any other file whole.

        Args:
            progress: called with the share that is transferred.

        Raises:
            HubError: no source has them.
        """
        for source in self.sources[:-1]:
            try:
                return self._fetch(source, progress)
            except HubError as error:
                if not downloads_allowed():
                    raise
                _log.warning("%s Trying the mirror.", error)
        return self._fetch(self.sources[-1], progress)

    def _fetch(self, source: HubFile, progress: Progress) -> Found:
        if source.filename.endswith(".safetensors"):
            layout = next(layout for layout in LAYOUTS if layout.name == "torchvision's VGG-19")
            modules = layout.convolutions[: 9 if self.blocks == 4 else 13]
            names = [f"{module}.{part}" for module in modules for part in ("weight", "bias")]
            return _only(source, read_tensors(source, names, progress))
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=".download-") as folder:
            return _only(source, read_checkpoint(download(source, Path(folder), progress), trusted=bool(source.sha256)))


def _only(source: HubFile, tensors: dict[str, Tensor]) -> Found:
    found = find_networks(tensors)
    if len(found) != 1 or found[0].layout.part != "encoder":
        raise HubError(f"{source} holds {len(found)} networks; expected VGG-19.")
    return found[0]


_NORMALIZED = Preset(
    VGG19_NORMALIZED,
    tuple(
        HubFile(
            repo_id,
            "vgg_normalised.pth",
            revision,
            "space",
            "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
            80_102_481,
        )
        for repo_id, revision in (
            ("dataroots/SofaStyler", "de4d9262e4af50058ce800c9c6d99018638a5c3d"),
            ("vkganesan/AdaIN", "61b41295c02426bf996830eebf625370488c9758"),
        )
    ),
    "MIT (AdaIN-style); VGG-19 itself CC-BY-4.0",
    "Oxford VGG's VGG-19, normalized by X. Huang for AdaIN",
)
_TORCHVISION = Preset(
    VGG19_TORCHVISION,
    (
        HubFile(
            "timm/vgg19.tv_in1k",
            "model.safetensors",
            "128d4708565b3a414bcbb9bbad440b2fe37b9f18",
            sha256="11aea017b543ff59233749d8f1cf544cda749378f5790d2fedab841fb86b7669",
            size=14_024_704,
        ),
    ),
    "BSD-3-Clause",
    "torchvision's VGG-19, trained on ImageNet",
)

PRESETS = {
    VGG19_NORMALIZED: _NORMALIZED,
    f"{VGG19_NORMALIZED}-relu5_1": replace(_NORMALIZED, blocks=5),
    VGG19_TORCHVISION: _TORCHVISION,
    f"{VGG19_TORCHVISION}-relu5_1": replace(
        _TORCHVISION, sources=tuple(replace(file, size=51_781_376) for file in _TORCHVISION.sources), blocks=5
    ),
}
"""By the names that models are called by. All that end in ``-relu5_1`` go further, for Gatys."""


def describe_preset(name: str) -> str:
    """From where a preset would be downloaded, and how much, for people to see before it happens."""
    preset = PRESETS[name]
    return f"{' or '.join(map(str, preset.sources))} ({preset.size / 1e6:.0f} MB)"
