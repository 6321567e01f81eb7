"""Fixtures that the tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adain_core.pipeline import StyleTransfer
from tests.helpers import ROOT, SHARED, tiny_model


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def examples() -> Path:
    """The example pictures of the repository."""
    return ROOT / "workflows" / "examples"


@pytest.fixture
def reference() -> Path:
    """Reference weights for comparison, which are not part of the repository."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip("the reference weights are not on this machine")
    return folder


@pytest.fixture
def model() -> StyleTransfer:
    return tiny_model()
