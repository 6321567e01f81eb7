"""The losses of a training step are those of the pictures that a user will see."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adain_core.measure.losses import content_loss, measure, style_losses
from adain_core.models.weights import load_encoder
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import IMAGENET_MEAN, IMAGENET_STD, STYLE_TAPS, Encoder
from adain_core.networks.normalization import adaptive_instance_norm
from adain_core.styles.stats import StyleStats
from tests.helpers import TINY_WIDTHS, random_picture
from tests.training.runs import decoder_of_the_loss_network
from training.build import build
from training.networks import LossNetwork, Stylizer, initialize
from training.objective import Objective, Shown, loss_names
from training.recipe import Recipe
from training.steadiness import unsteadiness


@pytest.fixture
def stylizer() -> Stylizer:
    torch.manual_seed(0)
    encoder, decoder = Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS)
    for network in (encoder, decoder):
        initialize(network.requires_grad_(False))
    return Stylizer(encoder, decoder)


def initialized_decoder(seed: int) -> Decoder:
    torch.manual_seed(seed)
    decoder = Decoder(TINY_WIDTHS)
    initialize(decoder.requires_grad_(False))
    return decoder


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


def test_pre_normalized_losses_are_those_of_normalized_images(data: Path) -> None:
    file = str(data / "loss.safetensors")
    recipe = Recipe(normalize_input=True, encoder=file, loss_network=file, decoder="concat-content")
    encoder, space = load_encoder(file)
    stylizer, loss_network, _ = build(recipe, encoder, space, style_images=1)
    content, style, images = random_picture(32, 32, seed=1), random_picture(32, 32, seed=2), torch.zeros(1).long()
    terms = Objective(recipe, stylizer, loss_network)(content, style, [0], [0], images)

    # As the study did it: everything in the normalized domain, with encoder and decoder as they are.
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    features = encoder((content - mean) / std, STYLE_TAPS)
    stats = StyleStats.measure(encoder((style - mean) / std, STYLE_TAPS), space="")
    target = adaptive_instance_norm(features["relu4_1"], stats.mean["relu4_1"], stats.std["relu4_1"])
    decoder = Decoder(TINY_WIDTHS, stylizer.decoder.skips)
    decoder.load_state_dict(stylizer.decoder.state_dict())
    painted = decoder(target, {tap: [features[tap]] for tap in stylizer.decoder.skips.taps})
    found = encoder(painted.clamp(-mean / std, (1 - mean) / std), STYLE_TAPS)
    assert terms["content"].item() == pytest.approx(content_loss(found["relu4_1"], target).item(), rel=1e-3)
    assert terms["style"].item() == pytest.approx(sum(style_losses(found, stats).values()).item(), rel=1e-3)

    # The same pictures have larger losses than without it.
    shown = (painted * std + mean).clamp(0, 1)
    plain = StyleStats.measure(encoder(style, STYLE_TAPS), space="")
    usual = measure(encoder, shown, content, encoder(content)["relu4_1"], plain)
    assert 5 * usual.total_style < terms["style"].item() < 40 * usual.total_style
    assert 5 * usual.content < terms["content"].item() < 40 * usual.content


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
    recipe = Recipe(identity_weight=3.0, tv_weight=0.7, steady_weight=9.0, content_weight=2.0, style_weight=5.0)
    terms = Objective(recipe, stylizer, network)(content, style, [0], [0], images)
    picture, itself = stylizer(content, style, images), stylizer(content, content, images)
    neighbors = picture.diff(dim=2).abs().mean() + picture.diff(dim=3).abs().mean()
    assert terms["identity"].item() == pytest.approx((itself - content).abs().mean().item(), rel=1e-4)
    assert terms["tv"].item() == pytest.approx(neighbors.item(), rel=1e-4)
    unsteady = unsteadiness(lambda x: stylizer(x, style, images).clamp(0, 1), content, picture.clamp(0, 1), [0])
    assert terms["steady"].item() == pytest.approx(unsteady.item(), rel=1e-4) and unsteady > 0
    assert set(loss_names(recipe)) == terms.keys() - {"total"}
    total = 2 * terms["content"] + 5 * terms["style"] + 3 * terms["identity"] + 0.7 * terms["tv"] + 9 * terms["steady"]
    assert terms["total"].item() == pytest.approx(total.item(), rel=1e-5)


def test_a_loss_network_of_its_own_measures_for_itself(stylizer: Stylizer) -> None:
    """What the stylizer's encoder and the loss network see of the same crops are different features."""
    torch.manual_seed(3)
    other = Encoder(TINY_WIDTHS)
    initialize(other.requires_grad_(False))
    content, style = random_picture(32, 32, seed=1, batch=2), random_picture(32, 32, seed=2, batch=2)
    images = torch.zeros(2, dtype=torch.long)
    recipe, numbers = Recipe(steady_weight=9.0), [0, 1]
    terms = Objective(recipe, stylizer, LossNetwork(other))(content, style, numbers, numbers, images)
    stats = StyleStats.measure(other(style, STYLE_TAPS), space="")
    target = adaptive_instance_norm(other(content)["relu4_1"], stats.mean["relu4_1"], stats.std["relu4_1"])
    shown = stylizer(content, style, images).clamp(0, 1)
    found = other(shown, STYLE_TAPS)
    assert terms["content"].item() == pytest.approx(content_loss(found["relu4_1"], target).item(), rel=1e-4)
    assert terms["style"].item() == pytest.approx(sum(style_losses(found, stats).values()).item(), rel=1e-4)
    unsteady = unsteadiness(lambda x: stylizer(x, style, images).clamp(0, 1), content, shown, numbers)
    assert terms["steady"].item() == pytest.approx(unsteady.item(), rel=1e-4)


def test_a_teachers_colors_are_added_with_their_weights(stylizer: Stylizer) -> None:
    content, style = random_picture(32, 32, seed=1), random_picture(32, 32, seed=2)
    images, network = torch.zeros(1, dtype=torch.long), LossNetwork(stylizer.encoder)
    taught = LossNetwork(stylizer.encoder, color_teacher=initialized_decoder(seed=1))
    recipe = Recipe(color_teacher="a file", color_weight=7.0, chroma_weight=11.0, imitation_weight=13.0)
    plain = Objective(recipe, stylizer, network)(content, style, [0], [0], images)
    terms = Objective(recipe, stylizer, taught)(content, style, [0], [0], images)
    weights = {"color": 7, "chroma": 11, "imitation": 13}
    assert all(terms[name].item() > 1e-4 for name in weights)
    taught_by = sum(weight * terms[name].item() for name, weight in weights.items())
    assert terms["total"].item() - plain["total"].item() == pytest.approx(taught_by, rel=1e-2)
    assert list(terms) == [*loss_names(recipe), "total"]


class Unseeing(LossNetwork):
    """A loss network that sees no results."""

    def features(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        raise AssertionError("a result was shown to the loss network")


def test_who_imitates_only_spares_the_loss_network(stylizer: Stylizer) -> None:
    content, style = random_picture(32, 32, seed=1), random_picture(32, 32, seed=2)
    taught = Unseeing(stylizer.encoder, color_teacher=initialized_decoder(seed=1))
    recipe = Recipe(content_weight=0.0, style_weight=0.0, color_teacher="a file", imitation_weight=3.0)
    terms = Objective(recipe, stylizer, taught)(content, style, [0], [0], torch.zeros(1, dtype=torch.long))
    assert list(terms) == [*loss_names(recipe), "total"] == ["color", "chroma", "imitation", "total"]


def test_a_teacher_of_pre_normalized_decoders_reads_images_as_they_are(tmp_path: Path, data: Path) -> None:
    file, teacher = str(data / "loss.safetensors"), decoder_of_the_loss_network(tmp_path, data)
    changes = {"content_weight": 0.0, "style_weight": 0.0, "color_teacher": str(teacher), "imitation_weight": 1.0}
    recipe = Recipe(normalize_input=True, encoder=file, loss_network=file, **changes)
    encoder, space = load_encoder(file)
    stylizer, loss_network, _ = build(recipe, encoder, space, style_images=1)
    content = random_picture(32, 32)
    expected = load_encoder(file)[0](content)["relu4_1"]
    torch.testing.assert_close(loss_network.encoder(content)["relu4_1"], expected)
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(
        stylizer.encoder(content)["relu4_1"], encoder((content - mean) / std)["relu4_1"], rtol=1e-3, atol=1e-4
    )
