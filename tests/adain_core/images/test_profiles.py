import numpy as np
import pytest
import torch
from PIL import Image

from adain_core.images.files import open_image, read_picture, write_picture
from adain_core.images.pictures import Origin, Picture
from tests.color_profiles import add_profile, curve, fixed, gray_profile, rgb_profile, srgb_of_p3, table_profile
from tests.helpers import random_picture, through_a_file


@pytest.mark.parametrize("suffix", [".avif", ".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("color", [(200, 100, 50), (30, 160, 90), (10, 20, 120)])
def test_colors_are_those_of_the_profile(tmp_path, suffix, color):
    options = {"lossless": True} if suffix == ".webp" else {"quality": 100}
    image = Image.new("RGB", (16, 16), color)
    path = tmp_path / f"a{suffix}"
    picture = through_a_file(path, image, icc_profile=rgb_profile(), **options)
    expected = srgb_of_p3([channel / 255 for channel in color])
    assert np.abs(picture.rgb[0, :, 8, 8].numpy() - expected).max() < 4 / 255
    assert np.abs(np.array(open_image(path).getpixel((8, 8))) / 255 - expected).max() < 4 / 255


def test_opacity_survives_a_profile(tmp_path):
    image = Image.new("RGBA", (4, 4), (200, 100, 50, 77))
    picture = through_a_file(tmp_path / "a.png", image, icc_profile=rgb_profile())
    assert (picture.opacity * 255 == 77).all()
    assert np.abs(picture.rgb[0, :, 0, 0].numpy() - srgb_of_p3((200 / 255, 100 / 255, 50 / 255))).max() < 1.5 / 255


def test_a_palette_has_the_colors_of_the_profile(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    picture = through_a_file(tmp_path / "a.png", image, icc_profile=rgb_profile())
    assert np.abs(picture.rgb[0, :, 0, 0].numpy() - srgb_of_p3((200 / 255, 100 / 255, 50 / 255))).max() < 1.5 / 255


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_gray_has_the_tone_of_the_profile(tmp_path, mode):
    level = 26 * 257 if mode == "I;16" else (26, 99) if mode == "LA" else 26
    picture = through_a_file(tmp_path / "a.png", Image.new(mode, (4, 4), level), icc_profile=gray_profile(curve()))
    light = 26 / 255
    assert (picture.rgb - (1.055 * light ** (1 / 2.4) - 0.055)).abs().max() < 1 / 255
    assert picture.opacity is None if mode != "LA" else (picture.opacity * 255 == 99).all()


def test_gray_is_exact_down_to_the_shadows(tmp_path):
    levels = np.arange(256, dtype=np.uint8)[None]
    picture = through_a_file(tmp_path / "a.png", Image.fromarray(levels), icc_profile=gray_profile(curve()))
    light = levels / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(picture.rgb[0].numpy() - expected).max() < 0.51 / 255


def test_white_is_white_whatever_the_white_point_of_the_profile(tmp_path):
    def white_point(*color: float) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(*color)

    # Of a screen's profile nobody reads it.
    profile = rgb_profile().replace(b"mntr", b"scnr")
    profile = profile.replace(white_point(0.9642, 1.0, 0.8249), white_point(0.9505, 1.0, 1.0890))
    assert (through_a_file(tmp_path / "a.png", Image.new("RGB", (4, 4), "white"), icc_profile=profile).rgb == 1).all()


def test_inks_have_the_colors_of_the_profile(tmp_path):
    paper, cyan = (
        through_a_file(tmp_path / "a.tif", Image.new("CMYK", (4, 4), inks), icc_profile=table_profile(b"CMYK", 4))
        for inks in ((0, 0, 0, 0), (255, 0, 0, 0))
    )
    assert paper.rgb.min() > 0.99
    # CIELAB (75, -28, 0); without the profile it would be pure cyan.
    torch.testing.assert_close(cyan.rgb[0, :, 0, 0], torch.tensor([0.4746, 0.7803, 0.7176]), atol=0.005, rtol=0)


@pytest.mark.parametrize(
    "profile", [b"nonsense", rgb_profile()[:200], gray_profile(curve()), table_profile(b"CMYK", 4)]
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_profile_that_does_not_fit_is_passed_over_with_a_warning(tmp_path, caplog, profile, deep):
    origin = Origin(16 if deep else 8)
    write_picture(Picture(random_picture(8, 8), origin=origin), tmp_path / "plain.png")
    plain = read_picture(tmp_path / "plain.png")
    add_profile(tmp_path / "plain.png", profile)
    with caplog.at_level("WARNING"):
        assert torch.equal(read_picture(tmp_path / "plain.png").rgb, plain.rgb)
    assert "its colors are read as sRGB" in caplog.text


@pytest.mark.parametrize("suffix", [".avif", ".bmp", ".jpg", ".png", ".tif", ".webp"])
def test_results_have_no_profile_and_the_same_bytes_each_time(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    picture = through_a_file(
        tmp_path / "content.png", Image.new("RGB", (16, 16), "teal"), icc_profile=rgb_profile(), dpi=(9, 9)
    )
    write_picture(picture, path)
    with Image.open(path) as result:
        assert "icc_profile" not in result.info
    first = path.read_bytes()
    write_picture(picture, path)
    assert path.read_bytes() == first
