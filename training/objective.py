"""The loss of a training step (Huang and Belongie 2017, equations 11 to 13; the study's equations 2 and 3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adain_core.measure.losses import content_loss, style_losses, total_variation
from adain_core.networks.encoder import DEEPEST_TAP
from adain_core.networks.normalization import adaptive_instance_norm
from adain_core.styles.stats import StyleStats

from .networks import LossNetwork, Stylizer
from .recipe import Recipe
from .steadiness import unsteadiness


class Shown(torch.autograd.Function):
    """Results [B, 3, H, W] as they are shown, clamped to 0..1: losses that see more are met beyond black and white,
    where nobody sees it. The gradient of a value outside passes only where a descent brings it back."""

    @staticmethod
    def forward(ctx: Any, pictures: Tensor) -> Tensor:
        ctx.save_for_backward(pictures)
        return pictures.clamp(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (pictures,) = ctx.saved_tensors
        leaves = ((pictures > 1) & (grad < 0)) | ((pictures < 0) & (grad > 0))
        return grad.masked_fill(leaves, 0)


def loss_names(recipe: Recipe) -> list[str]:
    """What :class:`Objective` calls the terms of a run, without the total. Each has a key ``<name>_weight``."""
    names = [] if recipe.imitates_only else ["content", "style"]
    names += ["color", "chroma", "imitation"] if recipe.color_teacher else []
    return names + [name for name in ("identity", "tv", "steady") if getattr(recipe, f"{name}_weight")]


class Objective(nn.Module):
    """From a batch of crops to the losses of their stylization.

    Args:
        recipe: the weights of the terms and their convention.
        stylizer: what learns.
        loss_network: not a part of this module's parameters.
    """

    def __init__(self, recipe: Recipe, stylizer: Stylizer, loss_network: LossNetwork) -> None:
        super().__init__()
        self.recipe = recipe
        self.stylizer = stylizer
        self.loss_network = loss_network

    def forward(
        self,
        content: Tensor,
        style: Tensor,
        content_numbers: list[int],
        style_numbers: list[int],
        style_images: Tensor,
    ) -> dict[str, Tensor]:
        """The terms and, under ``total``, their weighted sum.

        Args:
            content: crops [B, 3, H, W] in 0..1.
            style: crops [B, 3, H, W] in 0..1.
            content_numbers: the crops' numbers in their sequence, B of them.
            style_numbers: likewise.
            style_images: the number of each style's image in its folder, [B].
        """
        recipe = self.recipe
        features = self.loss_network.content_features(content, content_numbers)
        stats = self.loss_network.style_stats(style, style_numbers)
        target = adaptive_instance_norm(features, stats.mean[DEEPEST_TAP], stats.std[DEEPEST_TAP])
        shared = self.stylizer.encoder is self.loss_network.encoder
        known = (features, stats) if shared else ()
        pictures = self.stylizer(content, style, style_images, *known)
        terms = self._losses(Shown.apply(pictures), target, stats)
        if recipe.identity_weight:
            terms["identity"] = (self.stylizer(content, content, style_images).float() - content).abs().mean()
        if recipe.tv_weight:
            terms["tv"] = total_variation(pictures.float())
        if recipe.steady_weight:
            terms["steady"] = unsteadiness(
                lambda moved: Shown.apply(self.stylizer(moved, style, style_images, stats=stats if shared else None)),
                content,
                Shown.apply(pictures),
                content_numbers,
            )
        weighted = [getattr(recipe, f"{name}_weight") * term for name, term in terms.items()]
        return {**terms, "total": torch.stack(weighted).sum()}

    def _losses(self, pictures: Tensor, target: Tensor, stats: StyleStats) -> dict[str, Tensor]:
        """The content, the style and, with a teacher, the color losses of results [B, 3, H, W] in 0..1."""
        terms: dict[str, Tensor] = {}
        if not self.recipe.imitates_only:
            found = self.loss_network.features(pictures)
            terms["content"] = content_loss(found[DEEPEST_TAP], target, self.recipe.convention)
            terms["style"] = torch.stack(list(style_losses(found, stats, self.recipe.convention).values())).sum()
        return terms | self.loss_network.color_losses(pictures, target)
