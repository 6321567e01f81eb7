"""Optimizers of a training run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .command import TrainingError
from .recipe import Recipe


def make_optimizer(recipe: Recipe, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam, or SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321).

    Raises:
        TrainingError: the package that holds SOAP is not installed.
    """
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=recipe.lr)
    try:
        from pytorch_optimizer import SOAP
    except ImportError as error:
        raise TrainingError(
            "optimizer = soap needs the package pytorch-optimizer: pip install 'adain-style-transfer[training]'."
        ) from error
    return SOAP(parameters, lr=recipe.lr, betas=(0.9, 0.95), weight_decay=0.0)
