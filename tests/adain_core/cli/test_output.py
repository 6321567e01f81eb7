"""What programs read: one JSON value on stdout."""

import json

import pytest
import torch

from adain_core.images.files import read_picture
from adain_core.measure.losses import measure_result
from adain_core.models.presets import PRESETS
from adain_core.models.weights import embedded_models, load_encoder


def test_measures_are_those_of_the_function(run_here, photo, painting):
    told = json.loads(run_here("measure", photo, photo, painting, "--device", "cpu", "--json").stdout)
    encoder, space = load_encoder()
    content, style = (read_picture(path).rgb for path in (photo, painting))
    with torch.no_grad():
        expected = measure_result(encoder, content, content, style)
    assert told["space"] == space and told["ssim"] == pytest.approx(1)
    assert told["style_loss"] == pytest.approx(expected.total_style, rel=1e-4)
    assert told["content_loss"] == pytest.approx(expected.content, abs=1e-6)
    assert set(told["style_loss_of"]) == set(expected.style)


def test_models_are_a_list(run_here, tmp_path, monkeypatch):
    (tmp_path / "broken\x1b.safetensors").write_bytes(b"no weights")
    monkeypatch.setenv("ADAIN_MODELS", str(tmp_path))
    models = {model["name"]: model for model in json.loads(run_here("info", "--json").stdout)}
    assert set(models) == {*embedded_models(), "broken\x1b", *PRESETS}
    assert "not a readable" in models["broken\x1b"]["error"]
    assert models["lite"]["parameters"] > 10_000 and models["lite"]["space"].startswith("lite-")
    assert "\x1b" not in run_here("info").stdout


def test_a_sheet_names_its_file(run_here, photo, painting, tmp_path):
    out = tmp_path / "sheet.png"
    done = run_here(
        "grid", "--content", photo, "--style", painting, "--alphas", "1", "--size", "32", "-o", out, "--json"
    )
    assert json.loads(done.stdout) == {"written": str(out)} and out.exists()
