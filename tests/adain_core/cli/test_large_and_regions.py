from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adain_core.cli.options import read_style
from adain_core.images.pictures import Picture, to_pil
from adain_core.models.weights import EMBEDDED_STYLES
from adain_core.styles.stats import StyleStats
from tests.helpers import ROOT, random_picture


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.fixture
def half(tmp_path):
    """A mask whose right half is white."""
    mask = Image.new("L", (56, 40))
    mask.paste(255, (28, 0, 56, 40))
    mask.save(tmp_path / "half.png")
    return tmp_path / "half.png"


def test_tiles_make_no_difference(run_here, photo, painting, tmp_path):
    for tile in ("off", "16"):
        done = run_here(
            "stylize", photo, painting, "-o", tmp_path / f"{tile}.png", "--tile", tile, "--dtype", "float32"
        )
        assert done.returncode == 0, done.stderr
    assert np.abs(pixels(tmp_path / "off.png") - pixels(tmp_path / "16.png")).max() <= 1


def test_a_region_has_a_style_of_its_own(run_here, photo, painting, half, tmp_path):
    to_pil(Picture(random_picture(40, 40, seed=7) * 0.3)).save(tmp_path / "dark.png")
    region = ("--region", half, tmp_path / "dark.png")
    both = run_here("stylize", photo, painting, "-o", tmp_path / "both.png", *region)
    alone = run_here("stylize", photo, "-o", tmp_path / "alone.png", *region)
    plain = run_here("stylize", photo, painting, "-o", tmp_path / "plain.png")
    assert both.returncode == alone.returncode == plain.returncode == 0, both.stderr + alone.stderr
    difference = np.abs(pixels(tmp_path / "both.png") - pixels(tmp_path / "plain.png")).mean(axis=(0, 2))
    assert difference[44:].mean() > 3 * difference[:12].mean()


def test_no_style_at_all_is_refused(run_here, photo, tmp_path):
    done = run_here("stylize", photo, "-o", tmp_path / "out.png")
    assert done.returncode == 2 and "There is no style" in done.stderr


def test_a_saved_style_is_listed_and_used(run_here, photo, painting, tmp_path):
    library = tmp_path / "library"
    saved = run_here("style", painting, "-o", library / "noise.safetensors", "--name", "Noise", "--dtype", "float32")
    assert saved.returncode == 0, saved.stderr
    listed = run_here("styles", library, "--thumbnails", tmp_path / "thumbnails")
    assert listed.stdout.startswith("noise.safetensors: Noise, space ")
    assert Image.open(tmp_path / "thumbnails" / "noise.png").size == (32, 48)
    again = run_here("styles", library, "--thumbnails", tmp_path / "thumbnails")
    assert again.returncode == 2 and "noise.png exists already; use --overwrite" in again.stderr
    for name, style in (("file", library / "noise.safetensors"), ("picture", painting)):
        assert run_here("stylize", photo, style, "-o", tmp_path / f"{name}.png", "--dtype", "float32").returncode == 0
    assert np.abs(pixels(tmp_path / "file.png") - pixels(tmp_path / "picture.png")).max() <= 1


def test_styles_that_come_with_the_package_are_listed_by_group_and_used_by_name(run_here, photo, tmp_path):
    listed = run_here("styles", "--thumbnails", tmp_path)
    name = "woodcut-and-ink/wadsworth-rotterdam.safetensors"
    assert f"\n{name}: Rotterdam (1914), Edward Wadsworth (1889–1949), space lite-" in listed.stdout
    assert Image.open(tmp_path / "woodcut-and-ink" / "wadsworth-rotterdam.png").size == (96, 96)
    for style in (name, EMBEDDED_STYLES / name):
        done = run_here("stylize", photo, style, "-o", tmp_path / "out.png", "--overwrite")
        assert done.returncode == 0, done.stderr
    missing = run_here("stylize", photo, "no/such.safetensors", "-o", tmp_path / "out.png", "--overwrite")
    assert missing.returncode == 2 and "There is no style file no/such.safetensors" in missing.stderr


def test_a_style_of_ones_own_goes_before_one_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = argparse.Namespace(style_size=None, style_mask=None, style_scale=1)
    assert read_style(Path("flow.safetensors"), args).space.startswith("lite-")
    own = StyleStats({"relu4_1": torch.zeros(1, 4, 1, 1)}, {"relu4_1": torch.ones(1, 4, 1, 1)}, "own")
    own.save(tmp_path / "flow.safetensors")
    assert read_style(Path("flow.safetensors"), args) == own


@pytest.mark.parametrize(("transform", "detail"), [("wct", "covariance"), ("efdm", "quantiles")])
def test_a_style_saved_with_detail_serves_transforms_that_need_it(
    run_here, photo, painting, tmp_path, transform, detail
):
    options = ("--transform", transform, "--dtype", "float32")
    assert run_here("style", painting, "-o", tmp_path / "plain.safetensors").returncode == 0
    refused = run_here("stylize", photo, tmp_path / "plain.safetensors", "-o", tmp_path / "no.png", *options)
    assert refused.returncode == 2 and f"with the detail {detail}" in refused.stderr
    saved = run_here("style", painting, "-o", tmp_path / "full.safetensors", "--detail", detail, "--dtype", "float32")
    assert saved.returncode == 0, saved.stderr
    for name, style in (("file", tmp_path / "full.safetensors"), ("picture", painting)):
        assert run_here("stylize", photo, style, "-o", tmp_path / f"{name}.png", *options).returncode == 0
    assert np.abs(pixels(tmp_path / "file.png") - pixels(tmp_path / "picture.png")).max() <= 1


def test_a_style_of_the_package_lacks_a_detail_that_it_was_not_saved_with(run_here, tmp_path):
    refused = run_here("style", "flow.safetensors", "--detail", "covariance", "-o", tmp_path / "style.safetensors")
    assert refused.returncode == 2 and "was measured without covariance" in refused.stderr
    assert not (tmp_path / "style.safetensors").exists()


@pytest.mark.parametrize("option", ["--mask", "--weights"])
def test_options_of_styles_need_a_style_beside_the_regions(run_here, photo, painting, half, tmp_path, option):
    value = half if option == "--mask" else "3,1"
    refused = run_here("stylize", photo, "--region", half, painting, option, value, "-o", tmp_path / "out.png")
    assert refused.returncode == 2 and f"There is no style for {option}" in refused.stderr


def test_strokes_working_size_colors_and_style_mask(run_here, photo, painting, half, tmp_path):
    options = ("--work-size", 24, "--style-scale", 1.5, "--keep-colors", "covariance", "--style-mask", half)
    done = run_here("stylize", photo, painting, "-o", tmp_path / "out.png", *options)
    assert done.returncode == 0, done.stderr
    assert pixels(tmp_path / "out.png").shape == (40, 56, 3)


@pytest.mark.parametrize(
    ("option", "value"), [("--tile", "huge"), ("--tile", "0"), ("--style-scale", "0"), ("--keep-colors", "hue")]
)
def test_values_that_make_no_sense_are_refused(run_here, photo, painting, tmp_path, option, value):
    done = run_here("stylize", photo, painting, "-o", tmp_path / "out.png", option, value)
    assert done.returncode == 2 and value in done.stderr and "Traceback" not in done.stderr


def test_processes_share_a_folder_and_go_on_after_a_failure(painting, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(4):
        to_pil(Picture(random_picture(24, 24, seed=i))).save(folder / f"{i}.png")
    (folder / "0.png").write_bytes(b"not a picture")
    arguments = ["adain_core", "stylize", folder, painting, "-o", tmp_path / "out", "--device", "cpu"]
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [sys.executable, "-m", *launcher, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, env=environment)
    assert done.returncode == 1 and "0.png" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "2.png", "3.png"]
