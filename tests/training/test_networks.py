"""The loss network's memory and its colors, and encoders for normalized input."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import IMAGENET_MEAN, IMAGENET_STD, STYLE_TAPS, Encoder
from adain_core.networks.skips import Skips
from tests.helpers import TINY_WIDTHS, random_picture
from training.networks import LossNetwork, NormalizedDecoder, Stylizer, initialize, with_normalized_input


@pytest.fixture
def encoder() -> Encoder:
    network = Encoder(TINY_WIDTHS).requires_grad_(False)
    initialize(network)
    return network


def test_normalized_input_is_the_encoder_after_imagenet_s_normalization(encoder: Encoder) -> None:
    image = random_picture(32, 40)
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    changed = with_normalized_input(encoder)
    expected = encoder((image - mean) / std)["relu4_1"]
    torch.testing.assert_close(changed(image)["relu4_1"], expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(encoder.color.weight, 4 * torch.eye(3))


@pytest.mark.parametrize("skips", ["plain", "concat-content", "concat2-content"])
def test_a_decoder_of_the_normalized_domain_becomes_an_ordinary_one_and_back(skips: str) -> None:
    painter = NormalizedDecoder(TINY_WIDTHS, Skips.parse(skips)).requires_grad_(False)
    initialize(painter)
    widths = dict(zip(STYLE_TAPS, TINY_WIDTHS, strict=True))
    maps = {tap: [torch.rand(1, widths[tap], 32 >> i, 32 >> i)] for i, tap in enumerate(painter.skips.taps)}
    features = torch.rand(1, TINY_WIDTHS[3], 4, 4)
    picture = painter(features, maps)
    ordinary = painter.folded()
    assert type(ordinary) is Decoder
    torch.testing.assert_close(ordinary(features, maps), picture)
    other = NormalizedDecoder(TINY_WIDTHS, painter.skips).requires_grad_(False)
    other.take_over(ordinary)
    torch.testing.assert_close(other(features, maps), picture)
    torch.testing.assert_close(other.conv1_1.weight, painter.conv1_1.weight)


def test_remembered_crops_are_not_encoded_again(encoder: Encoder) -> None:
    crops = random_picture(32, 32, batch=3)
    fresh, remembering = LossNetwork(encoder), LossNetwork(encoder, pool=10)
    remembering.content_features(crops[:2], [7, 8])
    remembering.style_stats(crops[:2], [7, 8])
    encoded: list[int] = []
    encoder.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))
    order = [1, 2, 0]
    features = remembering.content_features(crops[order], [8, 9, 7])
    stats = remembering.style_stats(crops[order], [8, 9, 7])
    assert encoded == [1, 1]
    torch.testing.assert_close(features, fresh.content_features(crops[order], []), rtol=2e-3, atol=1e-3)
    expected = fresh.style_stats(crops[order], [])
    for tap in STYLE_TAPS:
        torch.testing.assert_close(stats.mean[tap], expected.mean[tap])
        torch.testing.assert_close(stats.std[tap], expected.std[tap])


@pytest.mark.parametrize("skips", ["plain", "add-style", "concat-both-adain", "concat-content-transport"])
def test_what_is_known_of_the_features_changes_no_picture(encoder: Encoder, skips: str) -> None:
    stylizer = Stylizer(encoder, Decoder(TINY_WIDTHS, Skips.parse(skips)).requires_grad_(False))
    content, style = random_picture(32, 32, seed=1), random_picture(32, 32, seed=2)
    loss_network = LossNetwork(encoder)
    known = loss_network.content_features(content, []), loss_network.style_stats(style, [])
    images = torch.zeros(1, dtype=torch.long)
    torch.testing.assert_close(stylizer(content, style, images, *known), stylizer(content, style, images))


def test_the_color_losses_see_coarse_colors_and_chroma_but_no_fine_grays(encoder: Encoder) -> None:
    teacher = Decoder(TINY_WIDTHS).requires_grad_(False)
    initialize(teacher)
    with torch.no_grad():
        teacher.conv1_1.bias += torch.tensor([0.9, 0.0, -0.9])  # reds beyond white, blues beyond black
    loss_network = LossNetwork(encoder, color_teacher=teacher)
    target = encoder(random_picture(32, 32))["relu4_1"]
    wanted = teacher(target).clamp(0, 1)
    assert wanted[:, 0].max() == 1 and wanted[:, 2].min() == 0
    fine = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16)
    reds_and_greens = fine * torch.tensor([1.0, -1.0, 0.0])[:, None, None]
    for change, color, chroma in ((fine, 0.0, 0.0), (0.25, 0.0625, 0.0), (reds_and_greens, 0.0, 2 / 3)):
        found = loss_network.color_losses(wanted + change, target)
        assert found["color"].item() == pytest.approx(color, abs=1e-6)
        assert found["chroma"].item() == pytest.approx(chroma, abs=1e-6)
    assert loss_network.color_losses(wanted + 0.25, target)["imitation"].item() == pytest.approx(0.0625, rel=1e-4)


def test_imitation_sees_a_fine_difference_five_times_as_large(encoder: Encoder) -> None:
    teacher = Decoder(TINY_WIDTHS).requires_grad_(False)
    initialize(teacher)
    loss_network = LossNetwork(encoder, color_teacher=teacher)
    target = encoder(random_picture(32, 32))["relu4_1"]
    wanted = teacher(target).clamp(0, 1)
    checks = torch.tensor([[0.1, -0.1], [-0.1, 0.1]]).repeat(16, 16)
    mean = F.avg_pool2d(checks[None, None], 3, stride=1, padding=1, count_include_pad=False)
    expected = checks.square().mean() + 4 * (checks - mean).square().mean()
    assert loss_network.color_losses(wanted + checks, target)["imitation"].item() == pytest.approx(
        expected.item(), rel=1e-4
    )


def test_convolutions_that_add_up_start_as_one_that_sees_all_their_channels() -> None:
    torch.manual_seed(0)
    decoder = Decoder((64, 64, 64, 64), Skips.parse("concat-both"))
    initialize(decoder)
    for part, channels in (("conv3_4", 16), ("conv3_4_content", 64), ("conv3_4_style", 64)):
        weight = decoder.get_submodule(part).weight
        assert weight.shape[1] == channels
        assert weight.std().item() == pytest.approx((2 / (9 * 144)) ** 0.5, rel=0.05)
