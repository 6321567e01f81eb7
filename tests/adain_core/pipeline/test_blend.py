"""Blends and layers for some pictures of a batch, and the layers that come from pictures."""

from __future__ import annotations

import pytest
import torch

from adain_core.images.color import match_color
from adain_core.options import Options
from adain_core.pipeline.blend import Blend
from adain_core.pipeline.layers import Layer, Look, layers_of
from adain_core.runtime.progress import ignore_progress
from adain_core.styles.stats import StyleStats, mix
from tests.helpers import random_picture, tiny_model


def measured(count: int) -> StyleStats:
    return StyleStats.measure({"relu4_1": torch.rand(count, 3, 4, 4)}, "s")


@pytest.mark.parametrize("masks", [1, 2])
@pytest.mark.parametrize("styles", [1, 2])
@pytest.mark.parametrize("contents", [1, 2])
def test_parts_of_a_blend_give_the_parts_of_its_result(masks: int, styles: int, contents: int) -> None:
    maps, mask = torch.rand(2, 3, 4, 4), torch.rand(masks, 1, 4, 4)
    blend = Blend(measured(styles), 0.7, mask, content=measured(contents))
    whole = blend.apply(maps, maps, "relu4_1")
    for i in range(2):
        one = maps[i : i + 1]
        part = blend.part(slice(i, i + 1)).apply(one, one, "relu4_1")
        torch.testing.assert_close(part, whole[i : i + 1])


def test_a_part_of_a_layer_has_its_own_mask_where_there_is_one_for_each_picture() -> None:
    masks = torch.rand(3, 4, 4)
    layers = [Layer(measured(3), mask).part(slice(1, 2)) for mask in (masks, masks[:1], masks[0])]
    for layer, mask in zip(layers, (masks[1:2], masks[:1], masks[0]), strict=True):
        assert torch.equal(layer.mask, mask) and layer.style.count == 1


@pytest.mark.parametrize("skips", ["plain", "add-style"])
def test_a_style_takes_on_the_colors_of_each_content_and_its_picture_is_kept_where_needed(skips: str) -> None:
    model, style, contents = tiny_model(skips), random_picture(32, 32, seed=5), random_picture(24, 32, batch=2)
    layers, rest = layers_of(model, [Look([style])], Options(keep_colors="covariance"))
    assert rest.keep_colors is None
    (layer,) = layers(range(2), contents, ignore_progress)
    matched = [match_color(style, content, "covariance") for content in contents.split(1)]
    assert layer.style == StyleStats.stack([model.compute_style_stats(picture) for picture in matched])
    assert layer.style.image is None if skips == "plain" else torch.equal(layer.style.image, torch.cat(matched))


def test_recolored_styles_keep_their_weights_and_both_masks_and_can_be_stopped() -> None:
    model, content = tiny_model("plain"), random_picture(24, 32)
    styles = [random_picture(32, 32, seed=seed) for seed in (5, 6)]
    where, shown, shares = torch.rand(24, 32), torch.rand(32, 32), []
    layers, _ = layers_of(model, [Look(styles, [3, 1], where)], Options(keep_colors="histogram"), shown)
    (layer,) = layers(range(1), content, shares.append)
    measured = [model.compute_style_stats(match_color(style, content, "histogram"), shown) for style in styles]
    assert layer.style == mix(measured, [3, 1]) and layer.mask is where
    assert len(shares) > 1 and not any(shares)


def test_colors_of_a_style_without_a_picture_cannot_be_matched() -> None:
    with pytest.raises(ValueError, match="no picture whose colors could be matched"):
        layers_of(tiny_model("plain"), [Look([measured(1)])], Options(keep_colors="histogram"))
