"""Style Grid and Measure Stylization."""

import pytest
import torch

from tests.nodes.models import image, load, save_model


def test_a_grid_has_a_row_for_each_style_and_model_and_a_column_for_each_alpha(comfy, tiny):
    other = load(comfy, save_model("other.safetensors", skips="concat-content"))
    inputs = {"content": image(40, 80), "alphas": "0, 0.5,1", "cell": 64, "model_1": tiny, "style_1": image(seed=1)}
    (small,) = comfy.call("AdaINStyleGrid", **inputs)
    (large,) = comfy.call("AdaINStyleGrid", model_3=other, style_7=image(64, 64, seed=2), **inputs)
    assert small.shape[2] >= 4 * 64 and small.shape[1] < 3 * 64
    assert large.shape[1] > 4 * 64
    assert torch.equal(small, comfy.call("AdaINStyleGrid", model_2=None, style_2=None, **inputs)[0])


def test_a_grid_shows_what_stylize_gives(comfy, tiny):
    content, style = image(48, 64), image(seed=1)
    (expected,) = comfy.call("AdaINStylize", model=tiny, content=content, style=style, alpha=0.5)
    (sheet,) = comfy.call("AdaINStyleGrid", content=content, alphas="0.5", cell=64, model_1=tiny, style_1=style)
    cell = sheet[0, -56:-8, -72:-8]
    assert (cell - expected[0]).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("alphas", ["", "0.5, x", "2", "nan", "-0.1"])
def test_alphas_that_are_none_are_named(comfy, tiny, alphas):
    with pytest.raises(ValueError, match=f"'alphas' is '{alphas}'"):
        comfy.call("AdaINStyleGrid", content=image(), alphas=alphas, cell=64, model_1=tiny, style_1=image())


def test_the_content_measures_as_like_itself_and_the_style_as_without_style_loss(comfy, tiny):
    content, style = image(48, 64), image(48, 64, seed=1)
    report, _, style_loss, ssim = comfy.call("AdaINMeasure", model=tiny, result=content, content=content, style=style)
    assert ssim == pytest.approx(1, abs=1e-5) and style_loss > 0.01
    assert "tiny.safetensors" in report and "relu3_1" in report
    _, _, style_loss, ssim = comfy.call("AdaINMeasure", model=tiny, result=style, content=content, style=style)
    assert style_loss == pytest.approx(0, abs=1e-4) and ssim < 0.9


def test_measuring_a_batch_of_another_size_than_its_content(comfy, tiny):
    numbers = comfy.call(
        "AdaINMeasure", model=tiny, result=image(40, 60, batch=2), content=image(80, 120), style=image(seed=1)
    )[1:]
    assert all(isinstance(number, float) and number == number for number in numbers)


def test_what_cannot_be_measured_is_named(comfy, tiny):
    with pytest.raises(ValueError, match="2 contents but 3 results"):
        comfy.call("AdaINMeasure", model=tiny, result=image(batch=3), content=image(batch=2), style=image())
    with pytest.raises(ValueError, match="The result is smaller than 16 pixels"):
        comfy.call("AdaINMeasure", model=tiny, result=torch.rand(1, 15, 40, 3), content=image(), style=image())
    with pytest.raises(ValueError, match="holds NaN or infinite"):
        broken = image().fill_(torch.inf)
        comfy.call("AdaINMeasure", model=tiny, result=image(), content=broken, style=image())


def test_an_encoder_alone_measures_as_with_its_decoder(comfy, tiny):
    import comfy.utils as utils

    inputs = {"result": image(seed=2), "content": image(), "style": image(seed=1, batch=2)}
    alone = load(comfy, save_model("encoder.safetensors", parts="encoder"))
    numbers = comfy.call("AdaINMeasure", model=alone, **inputs)[1:]
    assert numbers == comfy.call("AdaINMeasure", model=tiny, **inputs)[1:]
    assert utils.bars[-1].current == utils.bars[-1].total
