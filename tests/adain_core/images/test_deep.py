"""Pictures of 16 bits; FFmpeg is the judge of what the files hold."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from adain_core.images.files import open_image, read_picture, write_picture
from adain_core.images.pictures import Origin, Picture
from tests.color_profiles import add_profile, curve, function, gray_profile, rgb_profile, srgb_of_p3, table_profile

av = pytest.importorskip("av")


def encoded(levels: np.ndarray, codec: str, pixels: str, **options: str) -> bytes:
    """A file of FFmpeg's with levels [H, W, C]."""
    context = av.CodecContext.create(codec, "w")
    context.height, context.width = levels.shape[:2]
    context.pix_fmt, context.time_base, context.options = pixels, 1, options
    frame = av.VideoFrame(levels.shape[1], levels.shape[0], pixels)
    order = ">u2" if pixels.endswith("be") else "<u2"
    plane = np.frombuffer(frame.planes[0], np.uint8).reshape(levels.shape[0], -1)
    data = levels.astype(order).view(np.uint8).reshape(levels.shape[0], -1)
    full = np.zeros(plane.shape, np.uint8)
    full[:, : data.shape[1]] = data
    frame.planes[0].update(full.tobytes())
    frame.pts = 0
    return b"".join(map(bytes, context.encode(frame) + context.encode(None)))


def decoded(data: bytes, codec: str, pixels: str) -> np.ndarray:
    context = av.CodecContext.create(codec, "r")
    (frame,) = context.decode(av.Packet(data)) or context.decode(None)
    assert frame.format.name.startswith(pixels)
    return frame.to_ndarray(format=pixels + "le")


def random_levels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)


FILES = [
    ("png", "rgb48be", {}),
    ("png", "rgba64be", {}),
    ("png", "ya16be", {}),
    ("png", "gray16be", {}),
    ("tiff", "rgb48le", {"compression_algo": "raw"}),
    ("tiff", "rgb48le", {"compression_algo": "lzw"}),
    ("tiff", "rgba64le", {"compression_algo": "deflate"}),
    ("tiff", "gray16le", {"compression_algo": "raw"}),
]


@pytest.mark.parametrize(("codec", "pixels", "options"), FILES)
def test_all_bits_are_read(tmp_path, codec, pixels, options):
    channels = {"g": 1, "y": 2}.get(pixels[0]) or (4 if "a" in pixels else 3)
    levels = random_levels(19, 23, channels)
    (tmp_path / f"a.{codec}").write_bytes(encoded(levels, codec, pixels, **options))
    picture = read_picture(tmp_path / f"a.{codec}")
    colors = levels[..., : 3 if channels > 2 else 1]
    assert picture.origin.bits == 16
    assert np.array_equal(
        (picture.rgb[0] * 65535).round().numpy().transpose(1, 2, 0), np.broadcast_to(colors, (19, 23, 3))
    )
    assert (picture.opacity is None) == (channels % 2 == 1)
    if picture.opacity is not None:
        assert np.array_equal((picture.opacity[0, 0] * 65535).round().numpy(), levels[..., -1])
    image = np.asarray(open_image(tmp_path / f"a.{codec}")) / 255
    assert np.abs(image - colors / 65535).max() <= 1 / 255


@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_all_bits_are_written(tmp_path, suffix, opacity):
    levels = random_levels(19, 23, 4 if opacity else 3)
    tensor = torch.from_numpy(levels / np.float32(65535)).permute(2, 0, 1)[None]
    picture = Picture(tensor[:, :3], tensor[:, 3:] if opacity else None, Origin(16))
    path = tmp_path / f"a.{suffix}"
    write_picture(picture, path)
    assert np.array_equal(decoded(path.read_bytes(), suffix, "rgba64" if opacity else "rgb48"), levels)
    assert torch.equal(read_picture(path).rgb, picture.rgb)


def test_a_turned_picture_is_read_upright(tmp_path):
    levels = random_levels(4, 6, 3)
    tensor = torch.from_numpy(levels / np.float32(65535)).permute(2, 0, 1)[None]
    exif = Image.Exif()
    exif[0x0112] = 6
    write_picture(Picture(tensor, origin=Origin(16, None, exif.tobytes())), tmp_path / "a.png")
    assert torch.equal(read_picture(tmp_path / "a.png").rgb, tensor.rot90(-1, (2, 3)))


def test_a_profile_is_applied_in_full_precision(tmp_path):
    ramp = np.linspace(20_000, 22_000, 1000)
    tensor = torch.from_numpy(np.stack([ramp, ramp / 2, ramp / 4]).astype(np.float32) / 65535)[None, :, None]
    write_picture(Picture(tensor, origin=Origin(16)), tmp_path / "a.png")
    add_profile(tmp_path / "a.png", rgb_profile())
    result = read_picture(tmp_path / "a.png").rgb
    assert len(result[0, 0].unique()) == 1000
    for place in (0, 500, 999):
        assert np.abs(result[0, :, 0, place].numpy() - srgb_of_p3(tensor[0, :, 0, place].numpy())).max() < 2e-4


def test_colors_that_srgb_does_not_have_become_its_nearest(tmp_path):
    green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(-1, -1, 4, 4)
    write_picture(Picture(green, origin=Origin(16)), tmp_path / "a.png")
    add_profile(tmp_path / "a.png", rgb_profile())
    assert torch.equal(read_picture(tmp_path / "a.png").rgb, green)


@pytest.mark.parametrize("tone", [function(0, -2), function(4, -3, 1, 0, 1, 0, 0, 0)])
def test_a_profile_whose_curves_have_no_end_is_passed_over(tmp_path, caplog, tone):
    tensor = torch.zeros(1, 3, 4, 4)
    write_picture(Picture(tensor, origin=Origin(16)), tmp_path / "a.png")
    add_profile(tmp_path / "a.png", rgb_profile(tone=tone))
    assert torch.equal(read_picture(tmp_path / "a.png").rgb, tensor)
    assert "its colors are read as sRGB: its curves have no end" in caplog.text


CURVES = [
    (curve(), lambda x: x),
    (curve(round(2.2 * 256)), lambda x: x**2.2),
    (curve(0, 10_000, 65535), lambda x: np.interp(x, (0, 0.5, 1), (0, 10_000 / 65535, 1))),
    (function(0, 1.8), lambda x: x**1.8),
    (function(1, 2, 1.25, -0.25), lambda x: (1.25 * x - 0.25).clip(0) ** 2),
    (function(2, 2, 1, -0.2, 0.1), lambda x: (x - 0.2).clip(0) ** 2 + 0.1),
    (function(3, 2, 0.8, 0.2, 0.1, 0.5), lambda x: np.where(x >= 0.5, (0.8 * x + 0.2) ** 2, 0.1 * x)),
    (
        function(4, 2, 0.8, 0.1, 0.1, 0.5, 0.1, 0.05),
        lambda x: np.where(x >= 0.5, (0.8 * x + 0.1) ** 2 + 0.1, 0.1 * x + 0.05),
    ),
]


@pytest.mark.parametrize(("tone", "light_of"), CURVES, ids=["straight", "power", "table", *"01234"])
def test_every_kind_of_curve_is_followed(tmp_path, tone, light_of):
    levels = np.linspace(0, 65535, 101).astype(np.uint16)[None]
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=gray_profile(tone))
    light = light_of(levels / 65535)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(read_picture(tmp_path / "a.png").rgb[0, 0].numpy() - expected).max() < 1e-3


def test_a_profile_of_tables_is_followed_in_8_bits(tmp_path):
    write_picture(Picture(torch.zeros(1, 3, 4, 4), origin=Origin(16)), tmp_path / "a.png")
    add_profile(tmp_path / "a.png", table_profile(b"RGB ", 3))
    picture = read_picture(tmp_path / "a.png")
    assert picture.origin.bits == 8 and picture.rgb[0, 1, 0, 0] > picture.rgb[0, 0, 0, 0]


def test_the_clear_color_is_transparent(tmp_path):
    levels = random_levels(3, 3, 3)
    tensor = torch.from_numpy(levels / np.float32(65535)).permute(2, 0, 1)[None]
    write_picture(Picture(tensor, origin=Origin(16)), tmp_path / "a.png")
    png, chunk = (tmp_path / "a.png").read_bytes(), io.BytesIO()
    from PIL import PngImagePlugin

    PngImagePlugin.putchunk(chunk, b"tRNS", levels[1, 2].astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(png[:33] + chunk.getvalue() + png[33:])
    opacity = read_picture(tmp_path / "a.png").opacity[0, 0]
    assert opacity.sum() == 8 and opacity[1, 2] == 0


def test_tags_of_a_tiff_are_whole(tmp_path):
    exif = Image.Exif()
    exif[315] = "Zoë".encode()
    write_picture(Picture(torch.zeros(1, 3, 4, 4), origin=Origin(16, (300, 300), exif.tobytes())), tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as file:
        assert isinstance(file, TiffImagePlugin.TiffImageFile) and file.tag_v2[315].encode("latin-1") == "Zoë".encode()
    assert list(itertools.islice(tmp_path.iterdir(), 2)) == [tmp_path / "a.tif"]
