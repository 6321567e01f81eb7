"""Optimizers of a training run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .command import TrainingError
from .recipe import Recipe


def make_optimizer(recipe: Recipe, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam, or SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321).

    Args:
        recipe: of the run.
        parameters: on the device where they will learn. Whoever clears their gradients does so by the module.

    Raises:
        TrainingError: the package that holds SOAP is not installed.
    """
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=recipe.lr, fused=parameters[0].device.type in ("cpu", "cuda"))
    try:
        from pytorch_optimizer import SOAP
    except ImportError as error:
        raise TrainingError(
            "optimizer = soap needs the package pytorch-optimizer: pip install 'adain-style-transfer[training]'."
        ) from error
    # The nine taps of a kernel as one axis: one preconditioner of 9 x 9 for two of 3 x 3, and a quarter less time.
    views = [nn.Parameter(p.data.flatten(2)) if p.dim() == 4 else p for p in parameters]

    def hand_gradients_on(*_: object) -> None:
        for parameter, view in zip(parameters, views, strict=True):
            if view is not parameter and parameter.grad is not None:
                view.grad = parameter.grad.flatten(2)

    optimizer = SOAP(views, lr=recipe.lr, betas=(0.9, 0.95), weight_decay=0.0)
    optimizer.register_step_pre_hook(hand_gradients_on)
    return optimizer
