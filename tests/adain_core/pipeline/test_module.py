"""A model is a module like any other: what PyTorch does with modules works, and nobody's networks change."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.networks.skips import Skips
from adain_core.pipeline.analyzer import StyleAnalyzer
from adain_core.pipeline.transfer import StyleTransfer
from tests.helpers import TINY_WIDTHS, random_picture, tiny_model

KINDS = ["plain", "add-content", "concat-both", "concat-content-adain", "concat-content-transport"]


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    return random_picture(40, 56), random_picture(33, 47, seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_is_the_call_without_its_clamp(kind: str) -> None:
    model, style = tiny_model(kind), pictures()[1]
    for content in (pictures()[0], random_picture(35, 61)):
        result = model.forward(content, style)
        torch.testing.assert_close(result.clamp(0, 1), model(content, style), atol=1e-5, rtol=0)


def test_alpha_blends_in_forward_too() -> None:
    model = tiny_model("concat-content-adain")
    for alpha in (0.3, torch.tensor(0.3)):
        expected = model(*pictures(), alpha=0.3)
        torch.testing.assert_close(model.forward(*pictures(), alpha).clamp(0, 1), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_both_pictures_and_all_weights(kind: str) -> None:
    model = tiny_model(kind).train().requires_grad_(True)
    content, style = (picture.requires_grad_() for picture in pictures())
    model.forward(content, style).square().mean().backward()
    assert content.grad.abs().sum() > 0 and style.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_a_result_can_feed_what_learns() -> None:
    layer = nn.Conv2d(3, 2, 1)
    layer(tiny_model()(*pictures())).sum().backward()
    assert layer.weight.grad.abs().sum() > 0


def test_what_the_steps_give_can_feed_what_learns_too() -> None:
    model = tiny_model()
    features, style = model.encode(pictures()[0]), model.compute_style_stats(pictures()[1])
    for x in (features.content, style.mean["relu4_1"], model.decode(model.blend(features, style))):
        assert not x.is_inference()


def test_copies_and_saved_models_paint_the_same() -> None:
    model = tiny_model("concat-content")
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    loaded = torch.load(stored, weights_only=False)  # our own file: a module is code
    for other in (copy.deepcopy(model), loaded):
        assert torch.equal(other(*pictures()), model(*pictures()))
    other = tiny_model("concat-content")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(*pictures()), model(*pictures()))


def test_device_and_dtype_are_those_of_the_weights() -> None:
    model = tiny_model()
    assert (model.device.type, model.dtype) == ("cpu", torch.float32)
    assert model.to(torch.bfloat16).dtype == torch.bfloat16
    assert model.to("meta").device.type == "meta"


def test_two_models_share_an_encoder_in_different_dtypes() -> None:
    encoder, decoder = Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS, Skips.parse("concat-content-adain"))
    before = {name: x.clone() for name, x in encoder.state_dict().items()}
    exact = StyleTransfer(encoder, decoder, "tiny")
    short = StyleTransfer(encoder, decoder, "tiny", dtype=torch.bfloat16)
    assert exact.encoder is encoder and short.encoder is not encoder
    assert (exact.dtype, short.dtype, encoder.training) == (torch.float32, torch.bfloat16, True)
    assert all(torch.equal(x, before[name]) for name, x in encoder.state_dict().items())
    result, approximate = exact(*pictures()), short(*pictures())
    assert result.dtype == approximate.dtype == torch.float32
    assert (result - approximate).abs().mean() < 1 / 255


def test_hooks_see_every_convolution() -> None:
    for kind in KINDS:
        model, seen = tiny_model(kind), set()
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(lambda *_, name=name, seen=seen: seen.add(name))
        model(*pictures())
        assert seen == {name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}


def test_reprs_say_what_matters() -> None:
    model = tiny_model("concat-content")
    style = model.compute_style_stats(pictures()[1])
    assert "space='tiny'" in repr(model) and "conv3_4_content" in repr(model)
    taps = "relu1_1, relu2_1, relu3_1, relu4_1"
    assert repr(style) == f"StyleStats(count=1, taps={taps}, space='tiny', with its picture)"
    assert repr(model.encode(pictures()[0])) == "Features(image=[1, 3, 40, 56], space='tiny', blends=0)"


def test_styles_compare_by_their_numbers() -> None:
    model = tiny_model()
    style, again, other = (model.compute_style_stats(random_picture(32, 32, seed=seed)) for seed in (1, 1, 2))
    assert style == again and style != other and style != "style"
    assert style != StyleAnalyzer(model.encoder, "another").compute_style_stats(random_picture(32, 32, seed=1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((8, 8, 3)), "is a ndarray; expected a tensor"),
        (None, "is a NoneType"),
        (Path("photo.jpg"), "such as PIL.Image.open gives"),
        (torch.full((1, 3, 8, 8), 200, dtype=torch.uint8), "divide by 255"),
        (torch.full((1, 3, 8, 8), 200.0), "numbers from 200 to 200; expected 0..1"),
        (torch.full((1, 3, 8, 8), -200.0), "numbers from -200 to -200; expected 0..1"),
        (torch.full((1, 3, 8, 8), torch.nan), "NaN or infinite"),
        (torch.zeros(1, 8, 8, 3), r"shape \[1, 8, 8, 3\]; expected \[B, 3, H, W\]"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(content: object, message: str) -> None:
    model, picture = tiny_model(), pictures()[1]
    for arguments in ((content, picture), (picture, content)):
        with pytest.raises((TypeError, ValueError), match=message):
            model(*arguments)


def test_an_option_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="no option 'alfa'; did you mean alpha"):
        tiny_model()(*pictures(), alfa=1)
