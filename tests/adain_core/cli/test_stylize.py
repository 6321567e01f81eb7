import json
import shutil

import numpy as np
import pytest
from PIL import ExifTags, Image

from adain_core.cli import main, make_parser
from adain_core.images.files import read_picture, write_picture
from adain_core.images.pictures import Origin, Picture
from adain_core.pipeline.tiling import TiledEncoder
from adain_core.styles.transforms import TRANSFORMS
from tests.adain_core.cli.conftest import size_of
from tests.helpers import random_picture


def test_a_photo_in_the_style_of_a_picture(adain, photo, painting, tmp_path):
    result = adain("stylize", photo, painting, "-o", tmp_path / "out" / "result.png")
    assert result.returncode == 0, result.stderr
    assert size_of(tmp_path / "out" / "result.png") == (56, 40)
    assert "result.png" in result.stdout
    difference = read_picture(tmp_path / "out" / "result.png").rgb - read_picture(photo).rgb
    assert difference.abs().mean() > 0.02


def test_several_styles_sizes_alpha_and_mask(adain, photo, painting, tmp_path):
    mask = tmp_path / "mask.png"
    Image.linear_gradient("L").save(mask)
    options = ["--weights", "2,1", "--alpha", 0.5, "--size", 80, "--style-size", 24, "--mask", mask]
    result = adain("stylize", photo, painting, photo, "-o", tmp_path / "r.webp", *options)
    assert result.returncode == 0, result.stderr
    assert size_of(tmp_path / "r.webp") == (112, 80)


def test_what_is_transparent_in_a_mask_is_not_stylized(adain, photo, painting, tmp_path):
    written = {}
    for name, mask in {"clear": Image.new("RGBA", (8, 8), (255, 255, 255, 0)), "black": Image.new("L", (8, 8))}.items():
        mask.save(tmp_path / f"{name}-mask.png")
        out = tmp_path / f"{name}.png"
        result = adain("stylize", photo, painting, "-o", out, "--mask", tmp_path / f"{name}-mask.png")
        assert result.returncode == 0, result.stderr
        written[name] = out.read_bytes()
    assert written["clear"] == written["black"]


def test_each_transform_gives_a_picture_of_its_own(photo, painting, tmp_path):
    pictures = []
    for name in TRANSFORMS:
        out = tmp_path / f"{name}.png"
        assert main(["stylize", str(photo), str(painting), "-o", str(out), "--transform", name]) == 0
        pictures.append(out.read_bytes())
    assert len(set(pictures)) == len(TRANSFORMS)


def test_a_folder_goes_on_after_a_file_that_cannot_be_read(adain, photo, painting, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        (folder / name).write_bytes(photo.read_bytes())
    (folder / "b.png").write_bytes(photo.read_bytes()[:100])
    (folder / "no-file.png").mkdir()
    result = adain("stylize", folder, painting, "-o", tmp_path / "out")
    assert result.returncode == 1
    assert "b.png" in result.stderr and "no-file" not in result.stderr and "Traceback" not in result.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_a_folder_goes_on_after_a_photo_too_large_for_the_memory(photo, painting, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        (folder / name).write_bytes(photo.read_bytes())
    Image.new("RGB", (200, 200)).save(folder / "b.png")
    encode = TiledEncoder.features

    def encode_small_ones(self, images, *args):
        if images.shape[-1] == 200:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return encode(self, images, *args)

    monkeypatch.setattr(TiledEncoder, "features", encode_small_ones)
    assert main(["stylize", str(folder), str(painting), "-o", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "b.png; use a smaller --tile" in message and "Skipped" in message
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    assert main(["stylize", str(folder / "b.png"), str(painting), "-o", str(tmp_path / "b.png")]) == 2
    assert "smaller --tile" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["stylize", "video", "style", "gatys"])
def test_options_may_stand_between_the_pictures(command):
    given = [] if command == "style" else ["photo.jpg"]
    orders = [
        [*given, "a.jpg", "b.jpg", "-o", "out.png"],
        [*given, "-o", "out.png", "a.jpg", "b.jpg"],
        [*given, "a.jpg", "-o", "out.png", "b.jpg"],
        ["-o", "out.png", *given, "a.jpg", "b.jpg"],
    ]
    parsed = [make_parser().parse_args([command, *order]) for order in orders]
    assert all(args == parsed[0] for args in parsed) and [path.name for path in parsed[0].style] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("kind", ["1x1", "black", "palette", "16-bit", "RGBA", "gray with alpha"])
def test_unusual_images_work_as_content_and_as_style(painting, tmp_path, kind):
    images = {
        "1x1": Image.new("RGB", (1, 1), "teal"),
        "black": Image.new("RGB", (33, 20)),
        "palette": Image.new("RGB", (20, 20), "tan").convert("P"),
        "16-bit": Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100),
        "RGBA": Image.new("RGBA", (20, 30), (9, 99, 200, 128)),
        "gray with alpha": Image.new("LA", (20, 30), (9, 128)),
    }
    path, out = tmp_path / "image.png", tmp_path / "out.png"
    images[kind].save(path)
    for content, style in ((path, painting), (painting, path)):
        assert main(["stylize", str(content), str(style), "-o", str(out), "--overwrite"]) == 0
        assert size_of(out) == size_of(content)
    main(["stylize", str(path), str(painting), "-o", str(out), "--overwrite"])
    with Image.open(out) as image:
        assert image.mode == ("RGBA" if "A" in images[kind].mode.replace("LA", "A") else "RGB")


def test_the_result_replaces_a_file_only_with_overwrite(adain, photo, painting, tmp_path):
    out = tmp_path / "out.png"
    out.write_bytes(b"precious")
    refused = adain("stylize", photo, painting, "-o", out)
    assert refused.returncode == 2 and "--overwrite" in refused.stderr and out.read_bytes() == b"precious"
    assert adain("stylize", photo, painting, "-o", out, "--overwrite").returncode == 0


def test_info_lists_the_embedded_model(adain):
    result = adain("info")
    assert result.returncode == 0
    assert all(word in result.stdout for word in ("lite", "space", "license", "MIT", "origin"))


def test_a_folder_s_results_keep_names_and_tags_and_get_a_format_that_holds_them(run_here, painting, tmp_path):
    (tmp_path / "photos").mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Zoe"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    for name in ("a.jpg", "b.gif"):
        Image.new("RGB", (24, 16), "teal").save(tmp_path / "photos" / name, exif=exif)
    done = run_here("stylize", tmp_path / "photos", painting, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "b.gif.png"]
    with Image.open(tmp_path / "out" / "a.jpg") as result:
        assert result.getexif()[ExifTags.Base.Artist] == "Zoe" and not result.getexif().get_ifd(ExifTags.IFD.GPSInfo)


def test_a_photo_of_16_bits_has_a_result_of_16_bits(run_here, painting, tmp_path):
    write_picture(Picture(random_picture(24, 32), origin=Origin(16)), tmp_path / "deep.png")
    done = run_here("stylize", tmp_path / "deep.png", painting, "-o", tmp_path / "out.tif", "--dtype", "float32")
    assert done.returncode == 0, done.stderr
    result = read_picture(tmp_path / "out.tif")
    assert result.origin.bits == 16 and len(result.rgb.unique()) > 3 * 256


def test_a_second_run_does_only_what_is_missing(run_here, photo, painting, tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(photo, folder / name)
    (folder / "c.png").write_bytes(b"damaged")
    out.mkdir()
    (out / "a.png").write_bytes(b"from before")
    done = run_here("stylize", folder, painting, "-o", out, "--skip-existing", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["written"] == [str(out / "b.png")] and told["skipped"] == [str(out / "a.png")]
    assert list(told["failed"]) == [str(folder / "c.png")]
    assert (out / "a.png").read_bytes() == b"from before" and sorted(p.name for p in out.iterdir()) == [
        "a.png",
        "b.png",
    ]


def test_a_single_result_that_exists_is_left(run_here, photo, painting, tmp_path):
    (tmp_path / "out.png").write_bytes(b"from before")
    done = run_here("stylize", photo, painting, "-o", tmp_path / "out.png", "--skip-existing")
    assert (done.returncode, done.stdout) == (0, "Left what exists: 1\n")
    assert (tmp_path / "out.png").read_bytes() == b"from before"
    both = run_here("stylize", photo, painting, "-o", tmp_path / "out.png", "--skip-existing", "--overwrite")
    assert both.returncode == 2 and "--overwrite" in both.stderr
