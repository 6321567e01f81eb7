"""Measures the study's models, for what is said of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import fmean

import torch
from tqdm import tqdm

from adain_core.images.color import luminance
from adain_core.measure.correlation import edge_correlation
from adain_core.measure.losses import Convention, measure, psnr, style_losses
from adain_core.networks.encoder import STYLE_TAPS, Encoder
from adain_core.pipeline.transfer import StyleTransfer

from .command import TrainingError
from .data import center_square
from .gallery import Study, find_style
from .kinds import optimize
from .leakage import Places, leakage, places_of
from .pairs import Pairs
from .resources import timed

_SHORTEST_LOG = 4
"""Lines of a log, so that even its second half holds a change."""


@dataclass(frozen=True)
class Numbers:
    """What was measured of a model's results, as means over the pairs.

    Args:
        content: content loss.
        style: style loss of each tap.
        edges: correlation of the outlines with the content's.
        leakage: of the style's own picture.
        light: mean luminance, 0..1.
        rebuilt: PSNR of the results at alpha 0 in dB; NaN for a decoder with its style inside.
    """

    content: float
    style: dict[str, float]
    edges: float
    leakage: float
    light: float
    rebuilt: float

    @property
    def total_style(self) -> float:
        """The style loss: the sum over the taps."""
        return sum(self.style.values())


@dataclass(frozen=True)
class GatysNumbers:
    """AdaIN and Gatys' optimization on one content and one style.

    Args:
        edges: correlations of the outlines with the content's, AdaIN's and the optimization's.
        leakage: of the style's picture, likewise.
        slower: how many times AdaIN's time the optimization took.
    """

    edges: tuple[float, float]
    leakage: tuple[float, float]
    slower: float


class Laboratory:
    """Measures what claims ask for, each thing once.

    Args:
        study: its models.
        pairs: of contents and styles.
        iterations: of Gatys' optimization.
    """

    def __init__(self, study: Study, pairs: Pairs, iterations: int) -> None:
        self.study = study
        self.pairs = pairs
        self.iterations = iterations
        self.numbers = cache(self._measure)
        self.optimized = cache(self._optimize)
        self._style_places = cache(self._look)

    @property
    def loss_network(self) -> Encoder:
        """In whose features losses and leakage are measured, and Gatys' optimization works."""
        return self.pairs.loss_network

    def model(self, name: str) -> StyleTransfer:
        """One of the study's models.

        Raises:
            TrainingError: it is not there.
        """
        if not self.study.weights(name).exists():
            raise TrainingError(f"there is no {self.study.label(name)}")
        return self.study.model(name)

    @torch.inference_mode()
    def photographs(self, network: Encoder | None = None, convention: Convention = "mse") -> dict[str, float]:
        """The style losses of the contents as they are, at each tap.

        Args:
            network: in whose features; by default the loss network's.
            convention: of the distances.
        """
        pairs = self.pairs if network is None else Pairs(self.pairs.paths, network, self.pairs.size)
        network = pairs.loss_network
        losses = [style_losses(network(pair.content, STYLE_TAPS), pair.stats, convention) for pair in pairs]
        return {tap: fmean(loss[tap].item() for loss in losses) for tap in STYLE_TAPS}

    def log(self, model: str, term: str) -> list[float]:
        """A loss of the training that made a model, in the order of the steps.

        Raises:
            TrainingError: there is no log of it, or one of a few lines only.
        """
        path = self.study.log(model)
        if not path.exists():
            raise TrainingError(f"there is no log of {self.study.label(model)}")
        with path.open(newline="") as file:
            losses = [float(row[term]) for row in csv.DictReader(file)]
        if len(losses) < _SHORTEST_LOG:
            raise TrainingError(f"the log of {self.study.label(model)} is too short")
        return losses

    @torch.inference_mode()
    def _measure(self, model: str) -> Numbers:
        transfer = self.model(model)
        rows: list[list[float]] = []
        for pair in tqdm(self.pairs, model, disable=None, leave=False):
            result = self.study.stylize(model, pair.content, pair.style, pair.style_path)
            if result is None:
                continue
            measures = measure(self.loss_network, result, pair.content, pair.content_features, pair.stats)
            rebuilt = torch.nan
            if not transfer.decoder.style_inside:
                rebuilt = psnr(transfer(pair.content, pair.style, alpha=0.0), pair.content).item()
            edges, light = edge_correlation(result, pair.content).item(), luminance(result).mean().item()
            leak = leakage(self.loss_network, result, self._style_places(pair.style_path))
            rows.append([measures.content, edges, leak, light, rebuilt, *measures.style.values()])
        if not rows:
            raise TrainingError(f"{self.study.label(model)} has learned none of the styles")
        content, edges, leak, light, rebuilt, *style = map(fmean, zip(*rows, strict=True))
        return Numbers(content, dict(zip(STYLE_TAPS, style, strict=True)), edges, leak, light, rebuilt)

    def _look(self, style: Path) -> Places:
        picture = center_square(style, self.pairs.size)
        return places_of(self.loss_network, picture.to(next(self.loss_network.parameters()).device))

    def _optimize(self, style_name: str, otherwise: int) -> GatysNumbers:
        contents, styles = (list(dict.fromkeys(paths)) for paths in zip(*self.pairs.paths, strict=True))
        path = styles[find_style(styles, style_name, otherwise)]
        (pair,) = Pairs([(contents[0], path)], self.loss_network, self.pairs.size)
        model = self.model("plain")
        slow = partial(optimize, self.loss_network, pair.content, pair.style, self.iterations)
        fast = partial(model, pair.content, pair.style)
        fast()  # the first call also chooses kernels
        result, seconds = timed(model.device, fast)
        optimized, slow_seconds = timed(model.device, slow)
        pictures = (result, optimized)
        edges = [edge_correlation(picture, pair.content).item() for picture in pictures]
        leaks = [leakage(self.loss_network, picture, pair.style) for picture in pictures]
        return GatysNumbers((edges[0], edges[1]), (leaks[0], leaks[1]), slow_seconds / seconds)
