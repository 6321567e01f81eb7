"""Each option reaches what it is for: a command writes what a call with that argument gives, and not what one without
it gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adain_core import gatys
from adain_core.images.files import read_picture
from adain_core.images.pictures import Picture, scale_short_side, to_pil
from adain_core.models.weights import load_encoder
from adain_core.pipeline.analyzer import StyleAnalyzer
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats, mix

LEFT = (torch.arange(56) < 28).float().expand(1, 40, 56)
HALF_A_LEVEL = 0.5 / 255 + 1e-4


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    to_pil(Picture(LEFT.expand(1, 3, -1, -1))).save(tmp_path / "left.png")
    return tmp_path / "left.png"


@pytest.fixture
def run(run_here, mask) -> Callable[..., None]:
    """Runs a command line whose last argument is the options in one text."""

    def run(*args: object) -> None:
        *files, options = args
        done = run_here(*files, *str(options).format(mask=mask).split(), "--device", "cpu")
        assert done.returncode == 0, done.stderr

    return run


def assert_uses(written: Tensor, compute: Callable[..., Tensor], arguments: dict) -> None:
    """A command's result is the function's with these arguments, each of which makes a difference."""
    torch.testing.assert_close(written, compute(**arguments), rtol=0, atol=HALF_A_LEVEL)
    for name in arguments:
        without = compute(**{key: value for key, value in arguments.items() if key != name})
        assert without.shape != written.shape or (without - written).abs().max() > 6 * HALF_A_LEVEL, name


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("--alpha 0.4", {"alpha": 0.4}),
        ("--weights 3,1", {"weights": [3, 1]}),
        ("--mask {mask}", {"mask": LEFT}),
        ("--size 48", {"size": 48}),
        ("--work-size 24", {"work_size": 24}),
        ("--low-memory", {"low_memory": True}),
        ("--keep-colors luminance", {"keep_colors": "luminance"}),
        (
            "--style-mask {mask} --style-size 24 --style-scale 1.5",
            {"style_mask": LEFT, "style_size": 24, "style_scale": 1.5},
        ),
        (
            "--style-mask {mask} --style-size 24 --style-scale 1.5 --keep-colors covariance",
            {"style_mask": LEFT, "style_size": 24, "style_scale": 1.5, "keep_colors": "covariance"},
        ),
    ],
)
def test_an_option_of_stylize(run, photo, painting, mask, tmp_path, monkeypatch, options, arguments):
    monkeypatch.setattr("adain_core.pipeline.thumbnails._THUMBNAIL_SIDE", 8)  # smaller than these pictures
    run("stylize", photo, painting, mask, "-o", tmp_path / "out.png", f"--dtype float32 {options}")
    model = StyleTransfer.from_pretrained(device="cpu", dtype="float32")
    content, *styles = (read_picture(path).rgb for path in (photo, painting, mask))
    assert_uses(read_picture(tmp_path / "out.png").rgb, lambda **given: model(content, styles, **given), arguments)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("--weights 3,1", {"weights": [3, 1]}),
        ("--style-mask {mask}", {"mask": LEFT}),
        ("--style-size 24", {"style_size": 24}),
        ("--style-scale 1.5", {"style_scale": 1.5}),
    ],
)
def test_an_option_of_style(run, photo, painting, tmp_path, options, arguments):
    run("style", photo, painting, "-o", tmp_path / "s.safetensors", f"--dtype float32 {options}")
    analyzer = StyleAnalyzer.from_pretrained(device="cpu", dtype="float32")
    pictures = [read_picture(path).rgb for path in (photo, painting)]

    def means(weights: list[float] | None = None, **given: object) -> Tensor:
        return mix([analyzer.compute_style_stats(x, **given) for x in pictures], weights).mean["relu4_1"]

    assert_uses(StyleStats.load(tmp_path / "s.safetensors").mean["relu4_1"], means, arguments)


@pytest.mark.parametrize("options", ["", "--keep-colors histogram", "--low-memory", "style"])
def test_each_step_has_tiles_of_the_size_that_was_asked_for(run, photo, painting, tmp_path, monkeypatch, options):
    """Tiles make no difference to the result, so the calls tell."""
    seen, tiles = set(), StyleAnalyzer.tiles
    monkeypatch.setattr(StyleAnalyzer, "tiles", lambda self, x, tile: seen.add(tile) or tiles(self, x, tile))
    if options == "style":
        run("style", painting, "-o", tmp_path / "s.safetensors", "--tile 16")
    else:
        run("stylize", photo, painting, "-o", tmp_path / "out.png", f"--tile 16 {options}")
    assert seen - {"off"} == {16}  # a tile of low memory is not cut further


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("--weights 3,1", {"weights": [3, 1]}),
        ("--mask {mask}", {"mask": LEFT[0]}),
        ("--style-size 24", {"style_size": 24}),
        ("--style-weight 0.01", {"style_weight": 1e3}),
        ("--variation-weight 1e4", {"variation_weight": 1e4}),
        ("--pooling average", {"pooling": "average"}),
        ("--init noise --seed 3", {"init": "noise", "seed": 3}),
    ],
)
def test_an_option_of_gatys(run, photo, painting, mask, tmp_path, options, arguments):
    files = (photo, painting, mask, "-o", tmp_path / "out.png")
    run("gatys", *files, f"--size 40 --optimizer adam --iterations 3 {options}")
    encoder, _ = load_encoder()
    content, *styles = (read_picture(path).rgb for path in (photo, painting, mask))

    def picture(weights=(1, 1), mask=None, style_size=40, init="content", **given: object) -> Tensor:
        images = [scale_short_side(style, style_size) for style in styles]
        parts = [gatys.Style(image, weight, mask) for image, weight in zip(images, weights, strict=True)]
        settings = replace(gatys.PRESETS["gatys"], optimizer="adam", iterations=3, **given)
        return gatys.stylize(encoder, content, parts, settings, init).picture

    assert_uses(read_picture(tmp_path / "out.png").rgb, picture, arguments)


def test_an_option_of_texture(run, painting, tmp_path):
    run("texture", painting, "-o", tmp_path / "out.png", "--size 40x32 --iterations 5 --style-size 24 --seed 3")
    encoder, _ = load_encoder()

    def texture(style_size: int | None = None, seed: int = 0) -> Tensor:
        styles = [gatys.Style(scale_short_side(read_picture(painting).rgb, style_size))]
        settings = replace(gatys.PRESETS["gatys"], iterations=5, seed=seed)
        return gatys.synthesize_texture(encoder, styles, (32, 40), settings).picture

    assert_uses(read_picture(tmp_path / "out.png").rgb, texture, {"style_size": 24, "seed": 3})
