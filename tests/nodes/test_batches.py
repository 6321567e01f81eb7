"""Batches larger than the memory: as many pictures at a time as fit, with a stop in between."""

import sys
import weakref

import pytest
import torch
import torch.nn.functional as F

from tests.nodes.fake import PACK
from tests.nodes.models import image, load, save_model
from tests.nodes.test_steps import chain, stylize


@pytest.fixture
def no_memory(pack, monkeypatch):
    """Memory for a single picture at a time."""
    monkeypatch.setattr(sys.modules[f"{PACK}.adain_core.pipeline.analyzer"], "default_memory", lambda device: 1.0)


@pytest.fixture
def together(pack, monkeypatch):
    """How many pictures each step took at once, and each change of size."""
    counts: list[int] = []
    transfer = sys.modules[f"{PACK}.adain_core.pipeline.transfer"].StyleTransfer
    originals = {name: getattr(transfer, name) for name in ("encode", "lay", "decode")}
    for name, original in originals.items():

        def counted(self, batch, *args, _original=original, **options):
            counts.append(len(batch if isinstance(batch, torch.Tensor) else batch.content))
            return _original(self, batch, *args, **options)

        monkeypatch.setattr(transfer, name, counted)
    interpolate = F.interpolate

    def counted_interpolate(images, *args, **options):
        counts.append(len(images))
        return interpolate(images, *args, **options)

    monkeypatch.setattr(F, "interpolate", counted_interpolate)
    return counts


def checks(function) -> int:
    """How often a stop would be noticed."""
    from comfy import model_management

    model_management.stop_after = most = 10**6
    function()
    used, model_management.stop_after = most - model_management.stop_after, None
    return used


@pytest.mark.parametrize("way", [chain, stylize])
@pytest.mark.parametrize("skips", ["plain", "concat-both", "add-content-adain"])
def test_each_picture_has_its_own_mask_and_style_bit_for_bit(comfy, no_memory, together, way, skips):
    model = load(comfy, save_model("m.safetensors", skips=skips))
    contents, styles, masks = image(channels=4, batch=3), image(seed=1, batch=3), torch.rand(3, 40, 56)
    together.clear()
    result = way(comfy, model, contents, styles, alpha=0.8, mask=masks, batch="each")
    assert result.shape == contents.shape and max(together) == 1
    for i in range(3):
        one = slice(i, i + 1)
        assert torch.equal(result[one], way(comfy, model, contents[one], styles[one], alpha=0.8, mask=masks[one]))


@pytest.mark.parametrize("skips", ["plain", "concat-content"])
def test_the_maps_of_one_part_are_gone_before_the_next_is_encoded(comfy, no_memory, monkeypatch, skips):
    model = load(comfy, save_model("m.safetensors", skips=skips))
    transfer = sys.modules[f"{PACK}.adain_core.pipeline.transfer"].StyleTransfer
    original, maps, left = transfer.encode, [], []

    def encode(self, *args, **options):
        left.append([x() is not None for x in maps])
        features = original(self, *args, **options)
        maps[:] = [weakref.ref(x) for x in (features.content, *features.shallow.values())]
        return features

    monkeypatch.setattr(transfer, "encode", encode)
    stylize(comfy, model, image(batch=3), image(seed=1))
    assert left == [[], *[[False] * (4 if skips == "concat-content" else 1)] * 2]


@pytest.mark.parametrize("transform", ["wct", "efdm"])
def test_one_content_in_several_styles_and_regions(comfy, tiny, no_memory, together, transform):
    content, styles, mask = image(), image(seed=1, batch=3), torch.rand(1, 40, 56)
    detail = {"wct": "covariance", "efdm": "quantiles"}[transform]
    looks = comfy.call("AdaINComputeStyleStats", model=tiny, image=styles.flip(0), batch="each", detail=detail)[0]
    options = {"transform": transform, "mask": mask}
    together.clear()
    (regions,) = comfy.call("AdaINRegion", mask=mask, style=looks)
    result = stylize(comfy, tiny, content, styles, batch="each", regions=regions, **options)
    assert max(together) == 1
    for i in range(3):
        (look,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=styles[2 - i : 3 - i], detail=detail)
        (regions,) = comfy.call("AdaINRegion", mask=mask, style=look)
        assert torch.equal(
            result[i : i + 1], stylize(comfy, tiny, content, styles[i : i + 1], regions=regions, **options)
        )


@pytest.mark.parametrize("way", [chain, stylize])
def test_slow_transforms_take_one_picture_at_a_time_whatever_the_memory(comfy, tiny, together, way):
    contents, style = image(batch=3), image(seed=1)
    measure = {"detail": "covariance"} if way is chain else {}
    together.clear()
    result = way(comfy, tiny, contents, style, transform="wct", **measure)
    assert together.count(1) >= 3
    alone = way(comfy, tiny, contents[1:2], style, transform="wct", **measure)
    torch.testing.assert_close(result[1:2], alone, rtol=0, atol=1e-4)


def test_blends_in_a_row_compose_in_parts_as_in_one(comfy, tiny, pack, monkeypatch):
    content, masks = image(batch=3), torch.rand(2, 3, 40, 56)

    def blended():
        (features,) = comfy.call("AdaINEncode", model=tiny, image=content)
        for seed, mask in ((1, masks[0]), (2, masks[1, :1])):
            (style,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=seed))
            (features,) = comfy.call("AdaINBlend", features=features, style=style, mask=mask)
        return features.features

    whole = blended()
    monkeypatch.setattr(sys.modules[f"{PACK}.adain_core.pipeline.analyzer"], "default_memory", lambda device: 1.0)
    parts = blended()
    torch.testing.assert_close(parts.current, whole.current, rtol=1e-4, atol=1e-4)
    for a, b in zip(parts.blends, whole.blends, strict=True):
        assert torch.equal(a.mask, b.mask) and a.mask.ndim == 4


def test_sizes_change_one_by_one(comfy, tiny, no_memory, together):
    contents = image(60, 80, batch=3, channels=4)
    style, options = image(seed=1), {"size": 70, "work_size": 32, "keep_colors": "luminance"}
    together.clear()
    result = stylize(comfy, tiny, contents, style, **options)
    assert result.shape == (3, 70, 93, 4) and max(together) == 1
    for i in range(3):
        assert torch.equal(result[i : i + 1], stylize(comfy, tiny, contents[i : i + 1], style, **options))


def test_low_memory_measures_thumbnails_in_parts(comfy, tiny, together, caplog):
    contents, style, masks = image(600, 560, batch=3), image(seed=1), torch.rand(3, 600, 560)
    options = {"low_memory": True, "tile": "512"}
    together.clear()
    result = stylize(comfy, tiny, contents, style, mask=masks, **options)
    assert caplog.text.count("approximate") == 1 and max(together) == 1
    for i in range(3):
        alone = stylize(comfy, tiny, contents[i : i + 1], style, mask=masks[i : i + 1], **options)
        torch.testing.assert_close(result[i : i + 1], alone)


@pytest.mark.parametrize("method", ["luminance", "covariance", "histogram"])
def test_preserve_color_can_be_stopped_between_pictures(comfy, method):
    contents, pictures = image(batch=5), image(seed=1, batch=5, channels=4)

    def preserve(start, end):
        inputs = {"content": contents[start:end], "stylized": pictures[start:end], "method": method}
        return comfy.call("AdaINPreserveColor", **inputs)[0]

    assert checks(lambda: preserve(0, 5)) > checks(lambda: preserve(0, 1)) + 4
    assert torch.equal(preserve(0, 5), torch.cat([preserve(i, i + 1) for i in range(5)]))


def test_blend_can_be_stopped_between_parts_and_its_bar_reaches_the_end(comfy, tiny, no_memory):
    import comfy.utils as utils

    (features,) = comfy.call("AdaINEncode", model=tiny, image=image(batch=4))
    (style,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=1))
    assert checks(lambda: comfy.call("AdaINBlend", features=features, style=style)) >= 5
    assert utils.bars[-1].current == utils.bars[-1].total


@pytest.mark.parametrize("channels", [3, 4])
def test_a_film_is_resized_as_it_is_stylized(comfy, tiny, together, channels):
    frames = image(batch=9, channels=channels)
    (style,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=1))
    together.clear()
    (result,) = comfy.call("AdaINStylizeVideo", model=tiny, frames=frames, style=style, size=48)
    assert result.shape == (9, 48, 67, channels) and max(together) == 4


@pytest.mark.parametrize("node", ["AdaINStylize", "AdaINStylizeVideo"])
def test_a_batch_that_the_memory_cannot_hold_is_refused_before_the_work(comfy, tiny, monkeypatch, node):
    import comfy.model_management as management

    memory = sys.modules[f"{PACK}.adain_core.runtime.memory"]
    monkeypatch.setattr(memory, "available_memory", lambda device: 2**30)
    management.loaded.clear()
    name = "content" if node == "AdaINStylize" else "frames"
    pictures = image(24, 32)[..., :1].expand(400, -1, -1, 3)
    inputs = {"model": tiny, name: pictures, "style": image(seed=1)}
    with pytest.raises(ValueError, match=r"A batch of 400 x 400 x 300 pixels would need about 1\.1 GiB"):
        comfy.call(node, size=300, **inputs)
    assert management.loaded == []


def test_counts_are_compared_before_anything_is_measured(comfy, tiny):
    for keep_colors in ("off", "covariance"):
        with pytest.raises(ValueError, match="3 contents but 2 styles"):
            stylize(comfy, tiny, image(batch=3), image(seed=1, batch=2), batch="each", keep_colors=keep_colors)
