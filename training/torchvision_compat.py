"""torchvision's ``transforms.v2`` and ``utils``, also where its compiled operators do not load.

A torchvision that was built for another torch, or installed beside a torch without its accelerator, fails at import
with "operator torchvision::nms does not exist", although the training needs none of those operators. Declaring the two
that torchvision itself refers to lets the import pass; calling them still fails. Import torchvision from here only.
"""

from __future__ import annotations

import sys

import torch

try:
    from torchvision import utils
    from torchvision.transforms import v2
except RuntimeError as error:
    if "operator torchvision::nms does not exist" not in str(error):
        raise
    # The declarations live as long as this object.
    _LIBRARY = torch.library.Library("torchvision", "DEF")
    for _operator in ("nms", "qnms"):
        _LIBRARY.define(f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for _half_imported in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[_half_imported]
    from torchvision import utils
    from torchvision.transforms import v2

__all__ = ["utils", "v2"]
