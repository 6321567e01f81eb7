"""The losses of a training step are those of the pictures that a user will see."""

from __future__ import annotations

import pytest
import torch

from adain_core.measure.losses import measure
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import STYLE_TAPS, Encoder
from adain_core.styles.stats import StyleStats
from tests.helpers import TINY_WIDTHS, random_picture
from training.networks import LossNetwork, Stylizer, initialize
from training.objective import Objective, Shown
from training.recipe import Recipe


@pytest.fixture
def stylizer() -> Stylizer:
    torch.manual_seed(0)
    encoder, decoder = Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS)
    for network in (encoder, decoder):
        initialize(network.requires_grad_(False))
    return Stylizer(encoder, decoder)


@pytest.mark.parametrize("gain", [1.0, 30.0])
def test_the_losses_are_those_of_the_clamped_results(stylizer: Stylizer, gain: float) -> None:
    stylizer.decoder.get_submodule("conv1_1").weight.mul_(gain)
    content, style = random_picture(32, 32, seed=1), random_picture(32, 32, seed=2)
    encoder, images = stylizer.encoder, torch.zeros(1, dtype=torch.long)
    result = stylizer(content, style, images)
    assert gain == 1 or (result.min() < -1 and result.max() > 2)
    terms = Objective(Recipe(), stylizer, LossNetwork(encoder))(content, style, [0], [0], images)
    stats = StyleStats.measure(encoder(style, STYLE_TAPS), space="")
    expected = measure(encoder, result.clamp(0, 1), content, encoder(content)["relu4_1"], stats)
    assert terms["content"].item() == pytest.approx(expected.content, rel=1e-4)
    assert terms["style"].item() == pytest.approx(expected.total_style, rel=1e-4)


def test_a_value_beyond_white_or_black_is_led_back_but_not_further_away() -> None:
    pictures = torch.tensor([-0.5, 0.5, 1.5]).requires_grad_()
    shown = Shown.apply(pictures)
    assert shown.tolist() == [0, 0.5, 1]
    (brighter,) = torch.autograd.grad(-shown.sum(), pictures, retain_graph=True)
    (darker,) = torch.autograd.grad(shown.sum(), pictures)
    assert brighter.tolist() == [-1, -1, 0]
    assert darker.tolist() == [0, 1, 1]


def test_further_terms_are_added_with_their_weights(stylizer: Stylizer) -> None:
    content, style = random_picture(32, 32, seed=1), random_picture(32, 32, seed=2)
    images, network = torch.zeros(1, dtype=torch.long), LossNetwork(stylizer.encoder)
    recipe = Recipe(identity_weight=3.0, tv_weight=0.7, content_weight=2.0, style_weight=5.0)
    terms = Objective(recipe, stylizer, network)(content, style, [0], [0], images)
    picture, itself = stylizer(content, style, images), stylizer(content, content, images)
    neighbors = picture.diff(dim=2).abs().mean() + picture.diff(dim=3).abs().mean()
    assert terms["identity"].item() == pytest.approx((itself - content).abs().mean().item(), rel=1e-4)
    assert terms["tv"].item() == pytest.approx(neighbors.item(), rel=1e-4)
    total = 2 * terms["content"] + 5 * terms["style"] + 3 * terms["identity"] + 0.7 * terms["tv"]
    assert terms["total"].item() == pytest.approx(total.item(), rel=1e-5)
