from PIL import Image

from adain_core.images.pictures import from_pil, resize, scale_short_side
from tests.color_profiles import rgb_profile
from tests.helpers import random_picture


def test_resizing_keeps_range_and_shape():
    picture = random_picture(40, 60)
    assert scale_short_side(picture, 20).shape == (1, 3, 20, 30)
    up = resize(picture, (90, 81))
    assert up.shape == (1, 3, 90, 81) and 0 <= up.min() <= up.max() <= 1


def test_a_pillow_image_is_understood_by_its_profile():
    image = Image.new("RGB", (2, 2), (200, 100, 50))
    plain = from_pil(image).rgb
    image.info["icc_profile"] = rgb_profile()
    assert ((from_pil(image).rgb - plain).abs() * 255).amax() > 5
