"""What the tests of training runs share: reading and comparing them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from adain_core.models.weights import Weights, load_weights, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.skips import Skips
from tests.helpers import TINY_WIDTHS
from training.checkpoint import CHECKPOINT
from training.networks import initialize

FIXED = ("step", "content", "style", "total", "lr", "grad_norm")


def read_log(run: Path) -> list[dict[str, float]]:
    with (run / "log.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def assert_same_run(run: Path, expected: Path, tolerance: float = 1e-5) -> None:
    """Equal curves, and weights that differ by little of what Adam has moved them."""
    rows, expected_rows = read_log(run), read_log(expected)
    assert len(rows) == len(expected_rows) > 0
    for row, expected_row in zip(rows, expected_rows, strict=True):
        for key in FIXED:
            assert row[key] == pytest.approx(expected_row[key], rel=tolerance), (row["step"], key)
    weights, expected_weights = (torch.load(r / CHECKPOINT, weights_only=True)["stylizer"] for r in (run, expected))
    moved = rows[-1]["step"] * rows[-1]["lr"]
    for key, value in expected_weights.items():
        assert (weights[key] - value).abs().mean() < 100 * tolerance * moved, key


def decoder_of_the_loss_network(tmp_path: Path, data: Path, kind: str = "plain") -> Path:
    """The file of a random decoder for the features of the small loss network, whose pictures are orange."""
    decoder = Decoder(TINY_WIDTHS, Skips.parse(kind)).requires_grad_(False)
    initialize(decoder)
    decoder.conv1_1.bias.copy_(torch.tensor([0.9, 0.5, 0.1]))
    path = tmp_path / f"{kind}.safetensors"
    save_weights(Weights(load_weights(data / "loss.safetensors").space, None, decoder), path)
    return path


def pictures(data: Path) -> list[str]:
    """Arguments that show the training's own pictures, small."""
    return ["--content", str(data / "content"), "--style", str(data / "style"), "--size", "32", "--device", "cpu"]
