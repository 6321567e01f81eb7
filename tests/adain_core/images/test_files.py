import io
import os
import stat
import struct
import time

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, ExifTags, Image, TiffImagePlugin

from adain_core.images.files import (
    IMAGE_SUFFIXES,
    ImageError,
    check_target,
    list_images,
    open_image,
    read_picture,
    write_picture,
)
from adain_core.images.pictures import Origin, Picture
from tests.color_profiles import rgb_profile, table_profile
from tests.helpers import random_picture, through_a_file, write_jpeg_with_damaged_tags


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_format_is_read(tmp_path, suffix, mode):
    Image.new(mode, (16, 16)).save(tmp_path / f"a{suffix}")
    picture = read_picture(tmp_path / f"a{suffix}")
    assert picture.rgb.shape == (1, 3, 16, 16) and picture.rgb.max() < 0.02 and picture.origin.bits == 8


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (8, 4), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    assert through_a_file(tmp_path / "a.jpg", image, exif=exif).rgb.shape == (1, 3, 8, 4)


def test_damaged_tags_are_refused_as_damage(tmp_path):
    write_jpeg_with_damaged_tags(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"a\.jpg cannot be read as an image: it is damaged"):
        read_picture(tmp_path / "a.jpg")


def test_a_palette_image_has_its_colors(tmp_path):
    picture = through_a_file(tmp_path / "a.png", Image.new("RGB", (4, 4), (255, 0, 51)).convert("P"))
    torch.testing.assert_close(picture.rgb[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.2]))
    assert picture.opacity is None


def test_a_palette_image_with_transparency_has_opacity(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 2), 1)
    picture = through_a_file(tmp_path / "a.png", image, transparency=1)
    assert picture.opacity[0, 0, 2, 1] == 0 and picture.opacity.sum() == 15


def test_grayscale_has_three_equal_channels(tmp_path):
    picture = through_a_file(tmp_path / "a.png", Image.new("L", (4, 4), 102))
    assert (picture.rgb == 0.4).all() and picture.rgb.shape == (1, 3, 4, 4)


def test_16_bit_grayscale_keeps_its_scale(tmp_path):
    pixels = np.full((4, 4), 0xC000, dtype=np.uint16)
    picture = through_a_file(tmp_path / "a.png", Image.fromarray(pixels))
    torch.testing.assert_close(picture.rgb, torch.full((1, 3, 4, 4), 0xC000 / 0xFFFF))


def test_cmyk_is_converted(tmp_path):
    assert through_a_file(tmp_path / "a.jpg", Image.new("CMYK", (4, 4), (0, 0, 0, 0))).rgb.min() > 0.99


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_opacity_survives_where_the_format_has_it(tmp_path, suffix):
    opacity = torch.zeros(1, 1, 8, 8)
    opacity[..., 4:] = 1
    write_picture(Picture(random_picture(8, 8), opacity), tmp_path / f"a{suffix}")
    assert torch.equal(read_picture(tmp_path / f"a{suffix}").opacity, opacity)


def test_jpeg_has_no_opacity_and_no_chroma_subsampling(tmp_path):
    picture = random_picture(32, 32)
    write_picture(Picture(picture, torch.ones(1, 1, 32, 32)), tmp_path / "a.jpg")
    again = read_picture(tmp_path / "a.jpg")
    assert again.opacity is None and (again.rgb - picture).abs().mean() < 0.02


@pytest.mark.parametrize("suffix", [".avif", ".jpg"])
def test_colors_keep_the_resolution_of_the_light(tmp_path, suffix):
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[:, 0, :, ::2], stripes[:, 2, :, 1::2] = 1, 1
    write_picture(Picture(stripes), tmp_path / f"a{suffix}")
    assert (read_picture(tmp_path / f"a{suffix}").rgb - stripes).abs().mean() < 0.05


def test_a_large_jpeg_is_decoded_no_smaller_than_is_asked_for(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 256)).save(path)
    assert [open_image(path, side).size for side in (0, 33, 32)] == [(64, 256), (64, 256), (32, 128)]


def test_images_are_listed_by_the_numbers_in_their_names_whatever_the_case_of_their_suffix(tmp_path):
    for name in ("frame_10.png", "frame_2.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == ["frame_2.JPG", "frame_10.png"]


def test_png_reads_back_to_half_a_level(tmp_path):
    picture = random_picture(9, 7)
    write_picture(Picture(picture), tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png").rgb - picture).abs().max() <= 0.5001 / 255


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("1", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="too many pixels"):
        read_picture(tmp_path / "a.png")


def test_a_batch_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"a\.png holds one picture, not 2"):
        write_picture(Picture(random_picture(4, 4, batch=2)), tmp_path / "a.png")


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no image suffix"):
        write_picture(Picture(random_picture(4, 4)), tmp_path / "a.xyz")


def test_a_smaller_copy_inside_a_tiff_is_not_a_page(tmp_path):
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "copies.tif", new=True) as file:
        for side, reduced in ((32, 0), (16, 1)):
            Image.new("RGB", (side, side), "red").save(file, "TIFF", tiffinfo={254: reduced})
            file.newFrame()
    with Image.open(tmp_path / "copies.tif") as image:
        assert image.n_frames == 2
    assert read_picture(tmp_path / "copies.tif").rgb.shape == (1, 3, 32, 32)


def tiff_of_pages(count: int, reduced: int) -> bytes:
    """Pages of one pixel each, the first a full one, at 114 bytes each."""
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 279: 1}
    pages, size = [], 2 + 12 * (1 + len(tags)) + 4
    for i in range(count):
        entries = {254: reduced if i else 0} | tags
        page = b"".join(struct.pack("<2H2I", tag, 4, 1, value) for tag, value in entries.items())
        following = 12 + (i + 1) * size if i + 1 < count else 0
        pages.append(struct.pack("<H", len(entries)) + page + struct.pack("<I", following))
    return b"II*\0" + struct.pack("<I", 12) + bytes(4) + b"".join(pages)


@pytest.mark.parametrize("reduced", [0, 1])
def test_pages_without_end_are_not_gone_through(tmp_path, reduced):
    (tmp_path / "a.tif").write_bytes(tiff_of_pages(101, 1))
    assert read_picture(tmp_path / "a.tif").rgb.shape == (1, 3, 1, 1)
    (tmp_path / "a.tif").write_bytes(tiff_of_pages(20_000, reduced))
    start = time.monotonic()
    with pytest.raises(ImageError, match=r"a\.tif has several pages"):
        read_picture(tmp_path / "a.tif")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("more", [94, 95])
def test_a_jpeg_of_scans_without_end_is_refused(tmp_path, more):
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + 4000) + b"\xff\xda" * 2000
    stuffed = b"\xff\x01"  # a marker without a length
    Image.linear_gradient("L").save(tmp_path / "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    assert data.count(b"\xff\xda") == 6
    last = data[data.rindex(b"\xff\xda") : -2]
    (tmp_path / "a.jpg").write_bytes(data[:2] + thumbnail + data[2:-2] + (stuffed + last) * more + data[-2:])
    if more == 94:
        assert read_picture(tmp_path / "a.jpg").rgb.shape == (1, 3, 256, 256)
        return
    with pytest.raises(ImageError, match="more than 100 scans"):
        read_picture(tmp_path / "a.jpg")


def test_the_clear_level_of_16_bit_grayscale_is_transparent(tmp_path):
    levels = np.array([[0, 40000], [65535, 123]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "gray.png", transparency=40000)
    picture = read_picture(tmp_path / "gray.png")
    assert picture.opacity.flatten().tolist() == [1, 0, 1, 1]


def test_a_lack_of_memory_is_not_taken_for_damage(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "fine.png")

    def full(_):
        raise MemoryError

    monkeypatch.setattr("adain_core.images.files.from_pil", full)
    with pytest.raises(MemoryError):
        read_picture(tmp_path / "fine.png")


@pytest.mark.parametrize("read", [read_picture, open_image])
def test_a_program_is_not_run_whatever_its_name_says(tmp_path, monkeypatch, read):
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    ghostscript.chmod(ghostscript.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    program = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "photo.jpg").write_text(program)
    with pytest.raises(ImageError, match="not an image"):
        read(tmp_path / "photo.jpg")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("other", ["EPS", "ICO", "JPEG2000", "PCX", "PPM", "SGI", "TGA", "XBM"])
def test_other_formats_are_not_read(tmp_path, other):
    Image.new("1" if other == "XBM" else "RGB", (16, 16)).save(tmp_path / "a.png", other)
    with pytest.raises(ImageError, match=r"formats AVIF, BMP, GIF, JPEG, PNG, TIFF, WEBP"):
        read_picture(tmp_path / "a.png")


def test_what_pillow_says_is_not_repeated(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(ImageError) as error:
        read_picture(tmp_path / "a.png")
    assert "PosixPath" not in str(error.value) and "broken PNG" not in str(error.value)


@pytest.mark.parametrize("suffix", [".avif", ".gif", ".png", ".webp"])
def test_animations_are_not_taken_for_their_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "green")]
    frames[0].save(tmp_path / f"moves{suffix}", save_all=True, append_images=frames[1:])
    (tmp_path / f"moves{suffix}").rename(tmp_path / "moves.jpg")
    with pytest.raises(ImageError, match="is an animation"):
        read_picture(tmp_path / "moves.jpg")


def test_the_photograph_of_a_jpeg_with_pictures_made_of_it_is_read(tmp_path):
    first, second = Image.new("RGB", (16, 8), "red"), Image.new("RGB", (8, 8), "green")
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.rgb.shape == (1, 3, 8, 16) and picture.rgb[0, 0].min() > 0.95


def tagged() -> Image.Exif:
    """What a camera writes into a photograph."""
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Zoë".encode()
    exif[ExifTags.Base.Copyright] = "© Zoë".encode()
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Maker"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2023:05:06 07:08:09"
    details[ExifTags.Base.MakerNote] = b"serial number"
    details[ExifTags.Base.UserComment] = b"ASCII\0\0\0comment"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", [".avif", ".jpg", ".png", ".tif", ".webp"])
def test_author_times_and_resolution_are_kept_and_nothing_else(tmp_path, suffix, bits):
    Image.new("RGB", (16, 8), "teal").save(tmp_path / "content.jpg", exif=tagged(), dpi=(300, 300), comment="secret")
    content = read_picture(tmp_path / "content.jpg")
    path = tmp_path / f"a{suffix}"
    write_picture(Picture(content.rgb, origin=Origin(bits, content.origin.dpi, content.origin.exif)), path)
    with Image.open(path) as result:
        exif = result.getexif()
        assert result.size == (8, 16) and ExifTags.Base.Orientation not in exif
        texts = [exif[tag].encode("latin-1").decode() for tag in (ExifTags.Base.Artist, ExifTags.Base.Copyright)]
        assert texts == ["Zoë", "© Zoë"] and exif[ExifTags.Base.DateTime] == "2024:05:06 07:08:09"
        assert exif.get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.DateTimeOriginal: "2023:05:06 07:08:09"}
        assert not exif.get_ifd(ExifTags.IFD.GPSInfo) and "comment" not in result.info
        assert result.info.get("dpi", (exif.get(ExifTags.Base.XResolution),) * 2) == pytest.approx((300, 300), abs=0.01)
    for secret in (b"Maker", b"serial", b"secret", b"comment"):
        assert secret not in path.read_bytes()


@pytest.mark.parametrize("dpi", [(0, 0), (float("inf"), 72), (1e9, 1e9)])
def test_a_resolution_that_cannot_be_is_dropped(tmp_path, dpi):
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "a.tif", new=True) as file:
        Image.new("RGB", (4, 4)).save(file, "TIFF", tiffinfo={282: min(dpi[0], 2**32 - 1), 283: 72.0, 296: 2})
    assert read_picture(tmp_path / "a.tif").origin.dpi is None


@pytest.mark.parametrize(("unit", "dpi"), [(2, (100, 100)), (3, None)])
def test_a_resolution_in_tags_is_one_in_inches(tmp_path, unit, dpi):
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 100.0
    exif[ExifTags.Base.ResolutionUnit] = unit
    assert through_a_file(tmp_path / "a.webp", Image.new("RGB", (4, 4)), exif=exif).origin.dpi == dpi


def test_texts_without_end_are_dropped(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = 60_000 * "x"
    picture = through_a_file(tmp_path / "a.jpg", Image.new("RGB", (4, 4)), exif=exif)
    assert b"xxx" not in picture.origin.exif


@pytest.mark.parametrize("name", ["x.ico", "x.icns", "x.gif", "x.eps", "x.pdf", "x.jp2", "x.txt", "x"])
def test_formats_that_change_a_result_are_not_written(tmp_path, name):
    with pytest.raises(ImageError, match=rf"'{name}' has no image suffix .* use one of \.png, "):
        write_picture(Picture(random_picture(4, 4)), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "longest"), [("a.jpg", 65500), ("a.webp", 16383), ("a.avif", 65535)])
def test_sides_that_a_format_cannot_hold_are_refused(tmp_path, name, longest):
    assert check_target(tmp_path / name, (1, longest))
    with pytest.raises(ImageError, match=rf"{longest + 1} x 1 pixels, and a side of \w+ at most {longest}"):
        write_picture(Picture(torch.zeros(1, 3, 1, longest + 1)), tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_long_sides_are_written_where_the_format_has_them(tmp_path, suffix):
    side = 65500 if suffix == ".jpg" else 70_000
    write_picture(Picture(torch.zeros(1, 3, 1, side)), tmp_path / f"a{suffix}")
    assert read_picture(tmp_path / f"a{suffix}").rgb.shape == (1, 3, 1, side)


def test_names_as_long_as_a_folder_holds_are_written(tmp_path):
    for name in (251 * "n" + ".png", 83 * "名" + "nn.png"):
        write_picture(Picture(random_picture(4, 4)), tmp_path / name)
        assert [path.name for path in list_images(tmp_path)] == [name]
        (tmp_path / name).unlink()


MODES = {"AVIF": "RGB", "GIF": "P", "JPEG": "CMYK", "PNG": "RGBA", "TIFF": "RGB", "WEBP": "RGBA"}


@pytest.mark.parametrize(("name", "mode"), MODES.items())
def test_a_file_changed_at_random_is_read_or_refused(tmp_path, name, mode):
    file, rng = io.BytesIO(), np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).convert(mode)
    profile = table_profile(b"CMYK", 4) if mode == "CMYK" else rgb_profile()
    noise.save(file, name, icc_profile=profile, exif=tagged(), dpi=(300, 300))
    outcomes = set()
    for _ in range(60):
        data = np.frombuffer(file.getvalue(), np.uint8).copy()
        # Half of the changes are at the beginning, where the structure is.
        places = rng.integers(0, rng.choice([300, len(data)]), rng.integers(1, 8))
        data[places] = rng.choice([0, 255, rng.integers(256)], len(places))
        (tmp_path / "a").write_bytes(data[: rng.choice([len(data), rng.integers(len(data))], p=[0.8, 0.2])].tobytes())
        try:
            picture = read_picture(tmp_path / "a")
        except ImageError:
            outcomes.add("refused")
        else:
            outcomes.add("read")
            assert 0 <= picture.rgb.min() <= picture.rgb.max() <= 1
            write_picture(picture, tmp_path / "again.tif")
            assert read_picture(tmp_path / "again.tif").rgb.shape == picture.rgb.shape
    # A PNG's sums notice every change.
    assert outcomes == ({"refused"} if name == "PNG" else {"read", "refused"})


@pytest.mark.parametrize(
    ("rgb", "message"),
    [
        (torch.rand(2, 3, 4, 4), "one picture, not 2"),
        (torch.rand(1, 1, 4, 4), "shape"),
        (torch.full((1, 3, 4, 4), float("nan")), "NaN"),
    ],
)
def test_what_is_not_one_picture_is_not_written(tmp_path, rgb, message):
    with pytest.raises(ValueError, match=message):
        write_picture(Picture(rgb), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
