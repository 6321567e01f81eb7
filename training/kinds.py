"""The kinds of figures that the study has. Each says what it lacks, how much work it is, and draws itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from adain_core import gatys
from adain_core.measure.losses import measure_result
from adain_core.networks.encoder import Encoder

from .figures import architecture, loss_curves, picture_grid
from .gallery import Gallery, Study, find_style
from .resources import timed

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Figure(ABC):
    """What the study shows in one place.

    Args:
        title: what can be seen.
        models: those of the study that it shows, under their labels.
    """

    title: str
    models: Mapping[str, str]

    def missing(self, study: Study) -> list[str]:
        """What the figure needs and is not there."""
        return [study.label(model) for model in self.models.values() if not study.weights(model).exists()]

    @abstractmethod
    def work(self, gallery: Gallery) -> tuple[int, int]:
        """How many pictures are stylized, and how many evaluations of Gatys' loss there are."""

    @abstractmethod
    def draw(self, gallery: Gallery, path: Path) -> None:
        """Write the figure to an image file."""


class Architecture(Figure):
    """How AdaIN works, on the first content and style."""

    def work(self, gallery: Gallery) -> tuple[int, int]:
        return 1, 0

    def draw(self, gallery: Gallery, path: Path) -> None:
        (name,) = self.models.values()
        result = gallery.stylize(name, 0, 0)
        assert result is not None  # the model takes any style
        widths = gallery.study.model(name).encoder.widths[:4]
        architecture(gallery.contents[0][0], gallery.styles[0][0], result, widths, path)


class Comparison(Figure):
    """One row for each pair of a content and a style, one column for each model."""

    def work(self, gallery: Gallery) -> tuple[int, int]:
        return len(gallery.pairs) * len(self.models), 0

    def draw(self, gallery: Gallery, path: Path) -> None:
        rows = [
            [gallery.contents[i][0], gallery.styles[j][0], *(gallery.stylize(m, i, j) for m in self.models.values())]
            for i, j in gallery.pairs
        ]
        picture_grid(rows, path, ["content", "style", *self.models], title=self.title)


class Strengths(Figure):
    """One row for each model, one column for each alpha."""

    def work(self, gallery: Gallery) -> tuple[int, int]:
        return len(ALPHAS) * len(self.models), 0

    def draw(self, gallery: Gallery, path: Path) -> None:
        rows = [
            [gallery.contents[0][0], gallery.styles[0][0], *(gallery.stylize(m, 0, 0, alpha) for alpha in ALPHAS)]
            for m in self.models.values()
        ]
        columns = ["content", "style", *(f"alpha {alpha:g}" for alpha in ALPHAS)]
        picture_grid(rows, path, columns, list(self.models), title=self.title)


class Grid(Figure):
    """Every content in every style, by one model."""

    def work(self, gallery: Gallery) -> tuple[int, int]:
        return len(gallery.contents) * len(gallery.styles), 0

    def draw(self, gallery: Gallery, path: Path) -> None:
        (name,) = self.models.values()
        rows: list[list[Tensor | None]] = [[None, *(style[0] for style in gallery.styles)]]
        for i, content in enumerate(gallery.contents):
            rows.append([content[0], *(gallery.stylize(name, i, j) for j in range(len(gallery.styles)))])
        picture_grid(rows, path, title=self.title)


class Curves(Figure):
    """The losses of trainings, from their logs."""

    def missing(self, study: Study) -> list[str]:
        return [f"the log of {study.label(model)}" for model in self.models.values() if not study.log(model).exists()]

    def work(self, gallery: Gallery) -> tuple[int, int]:
        return 0, 0

    def draw(self, gallery: Gallery, path: Path) -> None:
        loss_curves({label: gallery.study.log(model) for label, model in self.models.items()}, path, self.title)


@dataclass(frozen=True)
class BesideGatys(Figure):
    """AdaIN beside Gatys' optimization, with times and losses.

    Args:
        style: the name of an example picture.
        otherwise: the place of the style among others, where that one is not shown.
    """

    style: str
    otherwise: int

    def work(self, gallery: Gallery) -> tuple[int, int]:
        return 2, sum(gallery.iterations)

    def draw(self, gallery: Gallery, path: Path) -> None:
        (name,) = self.models.values()
        network = gallery.loss_network
        model, device = gallery.study.model(name), gallery.study.model(name).device
        content = gallery.contents[0].to(device)
        style = gallery.styles[find_style(gallery.style_paths, self.style, self.otherwise)].to(device)
        model(content, style)  # the first call also chooses kernels
        makers = {"AdaIN": partial(model, content, style)}
        for iterations in gallery.iterations:
            makers[f"Gatys, {iterations} iterations"] = partial(optimize, network, content, style, iterations)
        row, captions = [content[0], style[0]], ["", ""]
        for make in makers.values():
            result, seconds = timed(device, make)
            measures = measure_result(network, result, content, style)
            row.append(result[0])
            captions.append(f"{seconds:.2f} s\ncontent {measures.content:.2f}, style {measures.total_style:.2f}")
        columns = ["content", "style", *makers]
        picture_grid([row], path, columns, captions=[captions], title=self.title, inches=2.56)


def optimize(network: Encoder, content: Tensor, style: Tensor, iterations: int) -> Tensor:
    """Gatys' optimization with the study's settings, those of PyTorch's tutorial."""
    settings = replace(gatys.PRESETS["tutorial"], iterations=iterations).for_encoder(network)
    return gatys.stylize(network, content, [gatys.Style(style)], settings).picture
