"""torchvision imports, with or without its compiled operators."""

from __future__ import annotations

import torch

from training.torchvision_compat import utils, v2


def test_transforms_and_grids_work() -> None:
    assert v2.functional.to_dtype(torch.full((3, 4, 4), 255, dtype=torch.uint8), torch.float32, scale=True).max() == 1
    assert v2.Resize(8)(torch.rand(3, 16, 24)).shape == (3, 8, 12)
    assert utils.make_grid(torch.rand(4, 3, 8, 8), nrow=2, padding=0).shape == (3, 16, 16)
