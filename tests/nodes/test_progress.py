"""What users see while a node works."""

import sys

import numpy as np
import pytest
import torch

from adain_core.images.pictures import Picture, to_pil
from tests.nodes.fake import PACK
from tests.nodes.models import image
from tests.nodes.test_gatys_nodes import gatys


@pytest.fixture
def module(pack):
    return sys.modules[f"{PACK}.nodes.progress"]


@pytest.fixture
def eager(module, monkeypatch):
    """Previews at every chance, however short the work."""
    monkeypatch.setattr(module, "_PREVIEWS_AFTER", 0)
    monkeypatch.setattr(module, "_REST", 0)


def shown():
    """The previews of the last bar."""
    import comfy.utils as utils

    return [np.asarray(picture) for _, picture, _ in utils.bars[-1].previews]


def pixels(image):
    """The last picture of an IMAGE as a preview has it."""
    return np.asarray(to_pil(Picture(image[-1:].movedim(-1, 1))))


@pytest.mark.parametrize("low_memory", [False, True])
def test_a_large_picture_turns_from_the_content_into_the_result_tile_by_tile(comfy, tiny, eager, low_memory):
    content = image(400, 520)
    arguments = {"model": tiny, "content": content, "style": image(seed=1), "tile": "256", "low_memory": low_memory}
    (result,) = comfy.call("AdaINStylize", **arguments)
    before, after, previews = pixels(content), pixels(result), shown()
    done = [(preview == after).all(axis=-1).mean() for preview in previews]
    assert len(previews) == 6 and done == sorted(done) and done[0] < 0.4 and done[-1] == 1
    for preview in previews:
        assert ((preview == after) | (preview == before)).all(axis=-1).all()


def test_of_a_batch_the_picture_is_shown_that_was_done_last(comfy, tiny, eager):
    (result,) = comfy.call("AdaINStylize", model=tiny, content=image(batch=3), style=image(seed=1), tile="256")
    assert np.array_equal(shown()[-1], pixels(result))


def test_decode_shows_its_tiles(comfy, tiny, eager):
    (features,) = comfy.call("AdaINEncode", model=tiny, image=image())
    (result,) = comfy.call("AdaINDecode", model=tiny, features=features)
    assert np.array_equal(shown()[-1], pixels(result))


def test_the_frames_of_a_film_are_shown_as_they_are_done(comfy, tiny, eager):
    options = {"model": tiny, "frames": image(batch=12), "style": image(seed=1), "keep_colors": "luminance"}
    (result,) = comfy.call("AdaINStylizeVideo", **options)
    previews = shown()
    assert len(previews) == 3
    for preview, end in zip(previews, (4, 8, 12), strict=True):
        assert np.array_equal(preview, pixels(result[:end]))


def test_an_optimization_is_shown_as_it_grows(comfy, tiny, eager):
    import comfy.utils as utils

    gatys(comfy, tiny, image(batch=2), image(seed=1))
    assert len(utils.bars[-1].previews) >= 12
    kind, picture, side = utils.bars[-1].previews[0]
    assert kind == "JPEG" and picture.size == (45, 32) and side >= max(picture.size)


def test_previews_are_small(comfy, module, eager):
    module.NodeProgress().preview(torch.rand(2, 3, 1024, 2048))
    (preview,) = shown()
    assert preview.shape == (512, 1024, 3)


def test_short_work_has_no_preview_and_previews_take_a_hundredth_of_the_time(comfy, module, monkeypatch):
    times = iter([0.0, 0.9, 1.0, 1.2, 21.1, 21.3, 21.4])
    monkeypatch.setattr(module, "perf_counter", lambda: next(times))
    progress = module.NodeProgress()
    counts = []
    for _ in range(4):
        progress.preview(torch.rand(1, 3, 8, 8))
        counts.append(len(shown()))
    assert counts == [0, 1, 1, 2]
