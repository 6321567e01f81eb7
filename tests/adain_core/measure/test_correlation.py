"""Correlations of colors and of outlines against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adain_core.measure.correlation import chroma_correlation, edge_correlation
from tests.helpers import random_picture


def chroma_by_hand(a: torch.Tensor, b: torch.Tensor) -> float:
    """The definition in numpy, for pictures [3, H, W] whose sides are multiples of 32."""

    def tiles(picture: torch.Tensor) -> np.ndarray:
        pixels = picture.numpy().astype(np.float64)
        chroma = pixels - pixels.mean(axis=0)
        _, height, width = chroma.shape
        return chroma.reshape(3, height // 32, 32, width // 32, 32).mean(axis=(2, 4)).ravel()

    return float(np.corrcoef(tiles(a), tiles(b))[0, 1])


def test_chroma_correlation_is_that_of_numpy() -> None:
    a, b = random_picture(96, 160, seed=1, batch=3), random_picture(96, 160, seed=2, batch=3)
    expected = [chroma_by_hand(one, other) for one, other in zip(a, b, strict=True)]
    assert chroma_correlation(a, b).tolist() == pytest.approx(expected, abs=1e-6)


def test_tiles_at_the_border_count_what_they_hold() -> None:
    picture, other = random_picture(40, 70, seed=1), random_picture(40, 70, seed=2)

    def tiles(x: torch.Tensor) -> np.ndarray:
        chroma = (x - x.mean(dim=1, keepdim=True))[0].double()
        parts = [strip.split(32, dim=2) for strip in chroma.split(32, dim=1)]
        return np.array([part.mean(dim=(1, 2)).numpy() for strip in parts for part in strip]).ravel()

    expected = np.corrcoef(tiles(picture), tiles(other))[0, 1]
    assert chroma_correlation(picture, other).item() == pytest.approx(expected, abs=1e-6)


def test_a_picture_smaller_than_a_tile_is_one() -> None:
    a, b = random_picture(20, 24, seed=1), random_picture(20, 24, seed=2)
    chroma = [(x - x.mean(dim=1, keepdim=True)).mean(dim=(0, 2, 3)) for x in (a, b)]
    assert chroma_correlation(a, b).item() == pytest.approx(torch.corrcoef(torch.stack(chroma))[0, 1].item(), abs=1e-5)


def test_brightness_does_not_change_the_chroma() -> None:
    picture = 0.5 * random_picture(64, 64, seed=3)
    shade = torch.linspace(0, 0.4, 64).expand(1, 3, 64, 64)
    assert chroma_correlation(picture, picture + shade).item() == pytest.approx(1, abs=1e-6)
    assert chroma_correlation(picture, 0.6 - picture).item() == pytest.approx(-1, abs=1e-6)


def test_a_gray_picture_has_no_chroma_and_a_flat_one_no_edges() -> None:
    picture = random_picture(64, 64, seed=4)
    gray = picture.mean(dim=1, keepdim=True).expand_as(picture)
    nearly = gray + 1e-7 * torch.rand_like(gray)  # as rounding leaves it
    assert chroma_correlation(picture, gray).isnan().all()
    assert chroma_correlation(picture, nearly).isnan().all() and chroma_correlation(nearly, picture).isnan().all()
    assert edge_correlation(picture, torch.full_like(picture, 0.3)).isnan().all()


def test_edge_correlation_is_that_of_the_gradients_lengths() -> None:
    a, b = random_picture(20, 24, seed=5), random_picture(20, 24, seed=6)

    def lengths(picture: torch.Tensor) -> np.ndarray:
        y = np.tensordot([0.299, 0.587, 0.114], picture[0].numpy().astype(np.float64), axes=1)
        right = y[:, 2:] - y[:, :-2]
        down = y[2:] - y[:-2]
        right = right[:-2] + 2 * right[1:-1] + right[2:]
        down = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
        return np.hypot(right, down).ravel()

    expected = np.corrcoef(lengths(a), lengths(b))[0, 1]
    assert edge_correlation(a, b).item() == pytest.approx(expected, abs=1e-5)


def test_edges_stay_when_colors_turn() -> None:
    picture = random_picture(64, 64, seed=7)
    assert edge_correlation(picture, 1 - picture).item() == pytest.approx(1, abs=1e-6)
    assert edge_correlation(picture, picture.flip(3)).item() < 0.5
