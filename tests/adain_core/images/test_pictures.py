import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from adain_core.images.pictures import ImageError, Picture, read_picture, resize, scale_short_side, write_picture
from tests.helpers import random_picture, write_jpeg_with_damaged_tags


def write(path, image, **options):
    image.save(path, **options)
    return read_picture(path)


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (8, 4), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    assert write(tmp_path / "a.jpg", image, exif=exif).rgb.shape == (1, 3, 8, 4)


def test_damaged_tags_are_refused_as_damage(tmp_path):
    write_jpeg_with_damaged_tags(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"a\.jpg cannot be read as an image: it is damaged"):
        read_picture(tmp_path / "a.jpg")


def test_a_palette_image_has_its_colors(tmp_path):
    picture = write(tmp_path / "a.png", Image.new("RGB", (4, 4), (255, 0, 51)).convert("P"))
    torch.testing.assert_close(picture.rgb[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.2]))
    assert picture.alpha is None


def test_a_palette_image_with_transparency_has_alpha(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 2), 1)
    picture = write(tmp_path / "a.png", image, transparency=1)
    assert picture.alpha[0, 0, 2, 1] == 0 and picture.alpha.sum() == 15


def test_grayscale_has_three_equal_channels(tmp_path):
    picture = write(tmp_path / "a.png", Image.new("L", (4, 4), 102))
    assert (picture.rgb == 0.4).all() and picture.rgb.shape == (1, 3, 4, 4)


def test_16_bit_grayscale_keeps_its_scale(tmp_path):
    pixels = np.full((4, 4), 0xC000, dtype=np.uint16)
    picture = write(tmp_path / "a.png", Image.fromarray(pixels))
    torch.testing.assert_close(picture.rgb, torch.full((1, 3, 4, 4), 0xC000 / 0xFFFF))


def test_cmyk_is_converted(tmp_path):
    assert write(tmp_path / "a.jpg", Image.new("CMYK", (4, 4), (0, 0, 0, 0))).rgb.min() > 0.99


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_survives_where_the_format_has_it(tmp_path, suffix):
    alpha = torch.zeros(1, 1, 8, 8)
    alpha[..., 4:] = 1
    write_picture(Picture(random_picture(8, 8), alpha), tmp_path / f"a{suffix}")
    assert torch.equal(read_picture(tmp_path / f"a{suffix}").alpha, alpha)


def test_jpeg_has_no_alpha_and_no_chroma_subsampling(tmp_path):
    picture = random_picture(32, 32)
    write_picture(Picture(picture, torch.ones(1, 1, 32, 32)), tmp_path / "a.jpg")
    again = read_picture(tmp_path / "a.jpg")
    assert again.alpha is None and (again.rgb - picture).abs().mean() < 0.02


def test_png_reads_back_to_half_a_level(tmp_path):
    picture = random_picture(9, 7)
    write_picture(Picture(picture), tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png").rgb - picture).abs().max() <= 0.5001 / 255


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("1", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="too many pixels"):
        read_picture(tmp_path / "a.png")


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no known image suffix"):
        write_picture(Picture(random_picture(4, 4)), tmp_path / "a.xyz")


def test_resizing_keeps_range_and_shape():
    picture = random_picture(40, 60)
    assert scale_short_side(picture, 20).shape == (1, 3, 20, 30)
    up = resize(picture, (90, 81))
    assert up.shape == (1, 3, 90, 81) and 0 <= up.min() <= up.max() <= 1


def test_a_smaller_copy_inside_a_tiff_is_not_a_page(tmp_path):
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "copies.tif", new=True) as file:
        for side, reduced in ((32, 0), (16, 1)):
            Image.new("RGB", (side, side), "red").save(file, "TIFF", tiffinfo={254: reduced})
            file.newFrame()
    with Image.open(tmp_path / "copies.tif") as image:
        assert image.n_frames == 2
    assert read_picture(tmp_path / "copies.tif").rgb.shape == (1, 3, 32, 32)


def test_the_clear_level_of_16_bit_grayscale_is_transparent(tmp_path):
    levels = np.array([[0, 40000], [65535, 123]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "gray.png", transparency=40000)
    picture = read_picture(tmp_path / "gray.png")
    assert picture.alpha.flatten().tolist() == [1, 0, 1, 1]


def test_a_lack_of_memory_is_not_taken_for_damage(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "fine.png")

    def full(_):
        raise MemoryError

    monkeypatch.setattr("adain_core.images.pictures.from_pil", full)
    with pytest.raises(MemoryError):
        read_picture(tmp_path / "fine.png")
