"""What the tests of training runs share: reading and comparing them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

FIXED = ("step", "content", "style", "total", "lr", "grad_norm")


def read_log(run: Path) -> list[dict[str, float]]:
    with (run / "log.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def assert_same_run(run: Path, expected: Path, tolerance: float = 1e-5) -> None:
    """Equal curves and equal weights."""
    rows, expected_rows = read_log(run), read_log(expected)
    assert len(rows) == len(expected_rows) > 0
    for row, expected_row in zip(rows, expected_rows, strict=True):
        for key in FIXED:
            assert row[key] == pytest.approx(expected_row[key], rel=tolerance), (row["step"], key)
    weights, expected_weights = (load_file(r / f"{r.name}.safetensors") for r in (run, expected))
    for key, value in expected_weights.items():
        torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=10 * tolerance)
