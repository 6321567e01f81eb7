"""Pairs of a content and a style, with what a loss network says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from adain_core.networks.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from adain_core.styles.stats import StyleStats

from .command import TrainingError
from .data import center_square

# Features of a content of 512 px have 8 MB.
_KEPT_CONTENTS = 64


@dataclass(frozen=True)
class Pair:
    """A content and a style, [1, 3, side, side] in 0..1, and what the loss network says of them."""

    content_path: Path
    style_path: Path
    content: Tensor
    style: Tensor
    content_features: Tensor
    stats: StyleStats

    @property
    def name(self) -> str:
        """``CONTENT_STYLE``, after which the pair's result is called."""
        return pair_name(self.content_path, self.style_path)


def pair_name(content: Path, style: Path) -> str:
    """``CONTENT_STYLE``, after the pictures' files."""
    return f"{content.stem}_{style.stem}"


def pair_paths(
    contents: Sequence[Path], styles: Sequence[Path], count: int | None = None, every: int = 1
) -> list[tuple[Path, Path]]:
    """The files of pairs; see :func:`pair_numbers`."""
    return [(contents[i], styles[j]) for i, j in pair_numbers(count, len(contents), len(styles), every)]


def pair_numbers(count: int | None, contents: int, styles: int, every: int = 1) -> list[tuple[int, int]]:
    """Which content meets which style.

    Args:
        count: number of pairs, in which contents and styles take turns; None for every content in every style.
        contents: how many there are.
        styles: likewise.
        every: take each n-th pair only, from the first.
    """
    if count is None:
        return [divmod(i, styles) for i in range(0, contents * styles, every)]
    return [(i % contents, (7 * i + i // contents) % styles) for i in range(0, count, every)]


class Pairs:
    """Pairs of images as center squares of ``size`` pixels, on the loss network's device; as long as there are
    not many contents, each image is encoded once.

    Args:
        paths: of contents and styles.
        loss_network: says what a result should look like.
        size: in pixels.

    Raises:
        TrainingError: two pairs have the same name.
    """

    def __init__(self, paths: Sequence[tuple[Path, Path]], loss_network: Encoder, size: int) -> None:
        self.paths = paths
        names = Counter(pair_name(*pair) for pair in dict.fromkeys(paths))
        name, count = names.most_common(1)[0]
        if count > 1:
            raise TrainingError(f"{count} pairs are called {name}; give the pictures different names.")
        self.loss_network = loss_network
        self.size = size
        self._content_features = lru_cache(_KEPT_CONTENTS)(self._encode)
        self._stats = cache(self._measure)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Pair]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Pair:
        content, style = self.paths[number]
        return Pair(
            content, style, self._read(content), self._read(style), self._content_features(content), self._stats(style)
        )

    def _read(self, path: Path) -> Tensor:
        return center_square(path, self.size).to(next(self.loss_network.parameters()).device)

    @torch.no_grad()
    def _encode(self, path: Path) -> Tensor:
        return self.loss_network(self._read(path))[DEEPEST_TAP]

    @torch.no_grad()
    def _measure(self, path: Path) -> StyleStats:
        return StyleStats.measure(self.loss_network(self._read(path), STYLE_TAPS), space="")
