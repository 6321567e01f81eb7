"""Style Grid and Measure Stylization."""

import sys
from itertools import pairwise

import pytest
import torch

from tests.nodes.fake import PACK
from tests.nodes.models import image, load, save_model


def test_a_grid_has_a_row_for_each_style_and_model_and_a_column_for_each_alpha(comfy, tiny):
    other = load(comfy, save_model("other.safetensors", skips="concat-content"))
    inputs = {"content": image(40, 80), "alphas": "0, 0.5,1", "cell": 64, "model_1": tiny, "style_1": image(seed=1)}
    (small,) = comfy.call("AdaINStyleGrid", **inputs)
    (large,) = comfy.call("AdaINStyleGrid", model_3=other, style_7=image(64, 64, seed=2), **inputs)
    assert 4 * 64 <= small.shape[2] < 5 * 64 and small.shape[1] < 3 * 64  # a single model is not named
    assert large.shape[1] > 4 * 64
    assert torch.equal(small, comfy.call("AdaINStyleGrid", model_2=None, style_2=None, **inputs)[0])


def test_a_grid_that_the_memory_cannot_hold_is_refused_before_the_work(comfy, tiny, monkeypatch):
    import comfy.model_management as management

    memory = sys.modules[f"{PACK}.adain_core.runtime.memory"]
    monkeypatch.setattr(memory, "available_memory", lambda device: 2**30)
    management.loaded.clear()
    inputs = {"content": image(40, 80), "model_1": tiny, "style_1": image(seed=1), "style_2": image(seed=2)}
    for alphas, cell in ((", ".join(["0.5"] * 9999), 64), ("1", 2048)):
        columns = 1 + len(alphas.split(","))
        if cell == 2048:
            monkeypatch.setattr(memory, "available_memory", lambda device: 2**28)
        expected = f"sheet of 2 x {columns} pictures of {cell} pixels would need about"
        with pytest.raises(ValueError, match=expected):
            comfy.call("AdaINStyleGrid", alphas=alphas, cell=cell, **inputs)
    assert management.loaded == []


def test_a_grid_shows_what_stylize_gives(comfy, tiny):
    content, style = image(48, 64), image(seed=1)
    (expected,) = comfy.call("AdaINStylize", model=tiny, content=content, style=style, alpha=0.5)
    (sheet,) = comfy.call("AdaINStyleGrid", content=content, alphas="0.5", cell=64, model_1=tiny, style_1=style)
    cell = sheet[0, -56:-8, -72:-8]
    assert (cell - expected[0]).abs().max() <= 0.5 / 255 + 1e-6
    contents = torch.cat([content, image(48, 64, seed=2)])
    (again,) = comfy.call("AdaINStyleGrid", content=contents, alphas="0.5", cell=64, model_1=tiny, style_1=style)
    assert torch.equal(again, sheet)
    styles = torch.cat([style, image(seed=3)])
    (again,) = comfy.call("AdaINStyleGrid", content=content, alphas="0.5", cell=64, model_1=tiny, style_1=styles)
    assert torch.equal(again[:, :, :-80], sheet[:, :, :-80]) and not torch.equal(again, sheet)


def test_a_grid_has_the_models_side_by_side_for_each_style(comfy, tiny):
    models = [tiny, load(comfy, save_model("other.safetensors", skips="concat-content", seed=1))]
    styles = [image(64, 64, seed=1), image(64, 64, seed=2)]
    inputs = {"content": image(64, 64), "alphas": "0.5, 1", "cell": 64}

    def cells(sheet, rows):
        return [sheet[0, -72 * row :, -144:][:64] for row in range(rows, 0, -1)]

    alone = [
        comfy.call("AdaINStyleGrid", model_1=model, style_1=style, **inputs)[0] for style in styles for model in models
    ]
    connected = {"model_1": models[0], "model_4": models[1], "style_1": styles[0], "style_3": styles[1]}
    (sheet,) = comfy.call("AdaINStyleGrid", **connected, **inputs)
    rows = cells(sheet, 4)
    for row, single in zip(rows, alone, strict=True):
        assert torch.equal(row, cells(single, 1)[0])
    assert not any(torch.equal(row, other) for row, other in pairwise(rows))


def test_a_grid_encodes_the_content_once_and_keeps_no_more_than_it_shows(comfy, tiny, monkeypatch):
    import comfy.utils as utils

    compare = sys.modules[f"{PACK}.nodes.compare"]
    sheet, shown, encoded = compare.contact_sheet, [], []

    def seen(rows, *rest):
        shown.extend(tuple(picture.shape) for row in rows for picture in row)
        return sheet(rows, *rest)

    monkeypatch.setattr(compare, "contact_sheet", seen)
    tiny.networks.encoder.register_forward_pre_hook(lambda _, pictures: encoded.append(pictures[0].shape[-1]))
    inputs = {"style_1": image(128, 128, seed=1), "style_2": image(128, 128, seed=2, batch=2), "model_1": tiny}
    comfy.call("AdaINStyleGrid", content=image(96, 192, channels=4), alphas="0, 0.5, 1", cell=64, **inputs)
    assert utils.bars[-1].current == utils.bars[-1].total
    assert encoded.count(192) == 1
    assert shown == [(1, 3, 64, 64), *[(1, 3, 32, 64)] * 3] * 2


@pytest.mark.parametrize("alphas", ["", "0.5, x", "2", "nan", "-0.1"])
def test_alphas_that_are_none_are_named(comfy, tiny, alphas):
    with pytest.raises(ValueError, match=f"'alphas': '{alphas}' is not numbers from 0 to 1"):
        comfy.call("AdaINStyleGrid", content=image(), alphas=alphas, cell=64, model_1=tiny, style_1=image())


def test_the_content_measures_as_like_itself_and_the_style_as_without_style_loss(comfy, tiny):
    content, style = image(48, 64), image(48, 64, seed=1)
    report, content_loss, style_loss, ssim = comfy.call(
        "AdaINMeasure", model=tiny, result=content, content=content, style=style
    )
    for name, value in (("content loss ", content_loss), ("style loss   ", style_loss), ("SSIM         ", ssim)):
        assert f"{name} {value:.4f}" in report
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
    with pytest.raises(ValueError, match="The style is smaller than 16 pixels"):
        comfy.call("AdaINMeasure", model=tiny, result=image(), content=image(), style=torch.rand(1, 40, 15, 3))
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


def test_other_models_make_room_for_measuring_one_picture_the_largest(comfy, tiny):
    from comfy import model_management

    def asked(**pictures):
        comfy.call("AdaINMeasure", model=tiny, **({"result": image(), "content": image(), "style": image()} | pictures))
        return model_management.required[-1]

    first_maps = 4 * tiny.networks.encoder.widths[0] * 40 * 56
    assert 3 * first_maps < asked() < 10 * first_maps
    assert asked(result=image(batch=4), style=image(batch=2)) == asked()
    assert asked(result=image(80, 56)) == asked(style=image(40, 112)) == 2 * asked()


def test_measuring_can_be_stopped_between_pictures(comfy, tiny):
    import comfy.utils as utils
    from comfy import model_management

    inputs = {"result": image(batch=4), "content": image(seed=1), "style": image(seed=2)}
    comfy.call("AdaINMeasure", model=tiny, **inputs)
    assert utils.bars[-1].current == utils.bars[-1].total
    seen = []
    for checks in (5, 60):
        model_management.stop_after = checks
        with pytest.raises(model_management.InterruptProcessingException):
            comfy.call("AdaINMeasure", model=tiny, **inputs)
        seen.append(utils.bars[-1].current / utils.bars[-1].total)
    assert 0 <= seen[0] < seen[1] < 1
