import numpy as np
import pytest
import torch
from PIL import Image

from adain_core.images.pictures import from_pil, resize, scale_short_side
from tests.color_profiles import rgb_profile
from tests.helpers import random_picture


def test_resizing_keeps_range_and_shape():
    picture = random_picture(40, 60)
    assert scale_short_side(picture, 20).shape == (1, 3, 20, 30)
    assert scale_short_side(picture[..., :57], 30).shape == (1, 3, 30, 43)


@pytest.mark.parametrize("size", [(21, 17), (90, 81), (20, 120)])
def test_pictures_are_resized_as_pillow_does_it_bicubically_and_without_overshooting(size):
    picture = (random_picture(40, 60) > 0.5).float()
    resized = [
        np.array(Image.fromarray(channel.numpy()).resize(size[::-1], Image.Resampling.BICUBIC)).clip(0, 1)
        for channel in picture[0]
    ]
    torch.testing.assert_close(resize(picture, size)[0], torch.from_numpy(np.stack(resized)), rtol=0, atol=1e-4)


def test_numbers_of_a_float_picture_that_are_none_are_black_and_those_without_end_white():
    pixels = np.array([[np.nan, np.inf, -1, 0.25]], np.float32)
    assert from_pil(Image.fromarray(pixels)).rgb[0, 0].tolist() == [[0, 1, 0, 0.25]]


def test_whole_numbers_beyond_16_bits_are_black_or_white():
    pixels = np.array([[-1, 70_000, 65535 // 5]], np.int32)
    assert from_pil(Image.fromarray(pixels)).rgb[0, 0, 0].tolist() == pytest.approx([0, 1, 0.2])


def test_a_pillow_image_is_understood_by_its_profile():
    image = Image.new("RGB", (2, 2), (200, 100, 50))
    plain = from_pil(image).rgb
    image.info["icc_profile"] = rgb_profile()
    assert ((from_pil(image).rgb - plain).abs() * 255).amax() > 5
