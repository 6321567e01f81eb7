"""The study's models and the pictures that they are shown on."""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor

from adain_core.models.weights import EMBEDDED, load_encoder, resolve
from adain_core.networks.encoder import Encoder
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats

from .data import center_square

CLONED = Path(__file__).parent.parent / "workflows" / "examples"
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "adain" / "examples"
EXAMPLES = CLONED if CLONED.is_dir() else INSTALLED
LOGS = Path(__file__).parent / "results" / "logs"

# The study's names of models are those of the recipes, but for the one that all others are compared with.
_RECIPES = {"plain": "paper"}


def example_pictures(kind: str) -> list[Path]:
    """The repository's ``photo`` or ``style`` pictures; their folder's name where a package came without them."""
    return sorted(EXAMPLES.glob(f"{kind}_*.jpg")) or [EXAMPLES]


def find_style(paths: Sequence[Path], name: str, otherwise: int) -> int:
    """The place of the file of this name, or another one where there is none."""
    names = [path.name for path in paths]
    return names.index(name) if name in names else otherwise % len(names)


def recipe_of(name: str) -> str:
    """The recipe that makes a model of the study, such as ``plain`` or ``add-content``."""
    return _RECIPES.get(name, name)


class Study:
    """Where the study's models are: in the package, under ``study-NAME``, or in a folder of runs, one for each recipe.

    Args:
        runs: the folder of runs; None for the package.
        model: a model that stands for each of them.
        device: where they work.
    """

    def __init__(self, runs: Path | None = None, model: str | None = None, device: str = "auto") -> None:
        self.runs = runs
        self._model = model
        self._device = device
        self.model = cache(self._load)

    def label(self, name: str) -> str:
        """What a missing model is called in a message."""
        return recipe_of(name) if self.runs else f"study-{name}"

    def weights(self, name: str) -> Path:
        """The file of a model; it may not exist."""
        if self._model:
            return resolve(self._model)
        if self.runs:
            return self.runs / recipe_of(name) / f"{recipe_of(name)}.safetensors"
        return EMBEDDED / f"study-{name}.safetensors"

    def log(self, name: str) -> Path:
        """The losses of the training that made a model; the file may not exist."""
        return self.runs / recipe_of(name) / "log.csv" if self.runs else LOGS / f"study-{name}.csv"

    def stylize(self, name: str, content: Tensor, style: Tensor, style_path: Path, alpha: float = 1.0) -> Tensor | None:
        """A result [1, 3, H, W] in the way that the model's normalization needs; None for a style that it never saw."""
        model = self.model(name)
        if model.decoder.style_inside:
            return model(content, style, alpha=0.0)
        if name not in ("norm-instance", "norm-conditional"):
            return model(content, style, alpha=alpha)
        wanted = self.weights(name).stem if name == "norm-instance" else style_path.name
        learned = sorted(self._learned_styles(name).rglob(f"{wanted}.safetensors"))
        return model(content, StyleStats.load(learned[0]), alpha=alpha) if learned else None

    def _learned_styles(self, name: str) -> Path:
        """The folder of the scales and shifts that a normalization learned, as style files."""
        return self.runs / recipe_of(name) / "styles" if self.runs else EMBEDDED / "styles" / f"study-{name}"

    def _load(self, name: str) -> StyleTransfer:
        return StyleTransfer.from_pretrained(self.weights(name), device=self._device, dtype="float32")


class Gallery:
    """Pictures as center squares, and what is shown on them.

    Args:
        study: its models.
        contents: image files.
        styles: likewise.
        size: side of the squares in pixels.
        iterations: of Gatys' optimization, in each of its pictures.
        loss_network: an encoder's name, for Gatys' optimization and the losses beside it.
    """

    def __init__(
        self,
        study: Study,
        contents: Sequence[Path],
        styles: Sequence[Path],
        size: int,
        iterations: Sequence[int],
        loss_network: str,
    ) -> None:
        self.study = study
        self.style_paths = styles
        self.contents, self.styles = ([center_square(path, size) for path in paths] for paths in (contents, styles))
        self.iterations = iterations
        self._loss_network = loss_network

    @cached_property
    def loss_network(self) -> Encoder:
        """Gatys' encoder, on the device of the models."""
        encoder, _ = load_encoder(self._loss_network)
        return encoder.to(self.study.model("plain").device)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Each content and each style at least once, side by side."""
        count = max(len(self.contents), len(self.styles))
        return [(i % len(self.contents), i % len(self.styles)) for i in range(count)]

    @torch.no_grad()
    def stylize(self, name: str, content: int, style: int, alpha: float = 1.0) -> Tensor | None:
        """A model's result [3, H, W] for one of the contents and one of the styles."""
        result = self.study.stylize(name, self.contents[content], self.styles[style], self.style_paths[style], alpha)
        return None if result is None else result[0]
