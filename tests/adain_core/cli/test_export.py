"""``adain export``, and what callers do with its files."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.torch_version import TorchVersion

from adain_core.cli import main
from adain_core.images.pictures import Picture, to_pil
from adain_core.models.weights import Weights, load_weights, save_weights
from adain_core.pipeline.export import PAINT_FILE, STYLE_FILE, TOLERANCE, ExportError, compare
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import mix
from tests.adain_core.cli.conftest import size_of
from tests.helpers import ROOT, TINY_WIDTHS, random_picture, tiny_model


def needs_onnx() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)


def write_model(path: Path, skips: str) -> StyleTransfer:
    model = tiny_model(skips)
    weights = Weights("tiny", model.encoder, model.decoder, {"license": "CC0-1.0"})
    save_weights(weights, path, torch.float32)
    return model


@pytest.fixture(scope="module", params=["concat-content-adain", "concat-content-transport"])
def exported(request, tmp_path_factory) -> tuple[StyleTransfer, Path]:
    """A model whose skips take statistics too, and the folder of its files."""
    needs_onnx()
    folder = tmp_path_factory.mktemp("export")
    model = write_model(folder / "tiny.safetensors", request.param)
    assert main(["export", str(folder / "tiny.safetensors"), "-o", str(folder / "files")]) == 0
    return model, folder / "files"


def test_there_are_two_files_and_one_of_them_measures(exported):
    import onnxruntime

    _, folder = exported
    assert {path.name for path in folder.iterdir()} == {STYLE_FILE, PAINT_FILE}
    style, paint = (onnxruntime.InferenceSession(folder / name) for name in (STYLE_FILE, PAINT_FILE))
    assert [x.name for x in style.get_inputs()] == ["style"]
    outputs = [x.name for x in style.get_outputs()]
    assert [x.name for x in paint.get_inputs()] == ["content", *outputs, "alpha"]
    assert [x.name for x in paint.get_outputs()] == ["picture"]


def test_several_styles_are_mixed_by_their_numbers(exported):
    import onnxruntime

    model, folder = exported
    style, paint = (onnxruntime.InferenceSession(folder / name) for name in (STYLE_FILE, PAINT_FILE))
    content, *styles = random_picture(37, 90), random_picture(64, 40, seed=1), random_picture(31, 47, seed=2)
    a, b = (style.run(None, {"style": x.numpy()})[0] for x in styles)
    inputs = {"content": content.numpy(), "statistics": 0.7 * a + 0.3 * b, "alpha": np.float32([0.8])}
    (picture,) = paint.run(None, inputs)
    look = mix([model.compute_style_stats(x) for x in styles], [0.7, 0.3])
    expected = model(content, look, alpha=0.8)
    torch.testing.assert_close(torch.from_numpy(picture), expected, rtol=0, atol=TOLERANCE)


def test_the_files_say_what_they_are_and_not_where_they_were_made(exported):
    import onnx

    model, folder = exported
    for name in (STYLE_FILE, PAINT_FILE):
        file = onnx.load(folder / name)
        metadata = {entry.key: entry.value for entry in file.metadata_props}
        assert metadata["space"] == "tiny" and metadata["license"] == "CC0-1.0" and metadata["version"]
        widths = dict(zip(("relu4_1", "relu1_1", "relu2_1", "relu3_1"), np.roll(TINY_WIDTHS, 1), strict=True))
        parts = {f"{part}.{tap}": width for tap, width in widths.items() for part in ("mean", "std")}
        parts |= {f"covariance.{tap}": widths[tap] ** 2 for tap in model.skips.transported}
        assert json.loads(metadata["statistics"]) == parts
        assert list(json.loads(metadata["statistics"])) == list(parts)
        assert [(entry.domain, entry.version) for entry in file.opset_import] == [("", 18)]
        assert os.fsencode(ROOT) not in (folder / name).read_bytes()


def test_the_graphs_have_what_every_runtime_knows(exported):
    """onnxruntime-web's WebGPU has no pooling that rounds up, and other runtimes want kernels that are constants."""
    import onnx

    _, folder = exported
    for name in (STYLE_FILE, PAINT_FILE):
        graph = onnx.load(folder / name).graph
        weights = {x.name for x in graph.initializer}
        assert {node.domain for node in graph.node} == {""}
        for node in graph.node:
            assert not any(attribute.name == "ceil_mode" and attribute.i for attribute in node.attribute)
            assert not node.op_type.startswith("Conv") or node.input[1] in weights


def test_another_model_is_not_what_was_exported(exported):
    model, folder = exported
    files = [(folder / name).read_bytes() for name in (STYLE_FILE, PAINT_FILE)]
    compare(model, *files)
    bias = model.decoder.conv1_1.bias.clone()
    with torch.no_grad():
        model.decoder.conv1_1.bias.add_(2 * TOLERANCE)
    try:
        with pytest.raises(ExportError, match="nothing was written"):
            compare(model, *files)
        with torch.no_grad():
            model.decoder.conv1_1.bias.fill_(torch.nan)
        with pytest.raises(ExportError, match="by up to nan of 255"):
            compare(model, *files)
    finally:
        model.decoder.conv1_1.bias.copy_(bias)


def test_half_precision_halves_the_files(tmp_path):
    needs_onnx()
    import onnx

    model = write_model(tmp_path / "tiny.safetensors", "plain")
    assert main(["export", str(tmp_path / "tiny.safetensors"), "-o", str(tmp_path), "--dtype", "float16"]) == 0
    for name in (STYLE_FILE, PAINT_FILE):
        graph = onnx.load(tmp_path / name).graph
        kinds = {x.data_type for x in graph.initializer if "weight" in x.name}
        assert kinds == {onnx.TensorProto.FLOAT16}
        ends = {x.type.tensor_type.elem_type for x in (*graph.input, *graph.output)}
        assert ends == {onnx.TensorProto.FLOAT}
    assert model.dtype == torch.float32


def test_a_model_that_overflows_in_half_precision_is_not_written(run_here, tmp_path):
    needs_onnx()
    model = tiny_model("plain")
    model.encoder.conv1_1.weight.mul_(1e6)
    save_weights(Weights("tiny", model.encoder, model.decoder), tmp_path / "tiny.safetensors", torch.float32)
    result = run_here("export", tmp_path / "tiny.safetensors", "-o", tmp_path / "out", "--dtype", "float16")
    assert result.returncode == 2 and "float32 is more exact than float16" in result.stderr
    assert not list(tmp_path.glob("out/*"))


def test_the_page_shows_how_python_calls_the_files(exported, tmp_path, monkeypatch):
    _, folder = exported
    page = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shutil.copytree(folder, tmp_path / "lite-onnx")
    for seed, name in enumerate(("photo", "a", "b")):
        to_pil(Picture(random_picture(30, 44 + seed, seed))).save(tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    exec(snippet, {})
    assert size_of(tmp_path / "result.png") == (44, 30)


@pytest.mark.parametrize(
    ("skips", "inside", "words"),
    [("concat-style", False, "the style's own maps"), ("plain", True, "its one style inside")],
)
def test_a_decoder_that_does_not_take_statistics_is_refused(run_here, tmp_path, skips, inside, words):
    write_model(tmp_path / "m.safetensors", skips)
    weights = load_weights(tmp_path / "m.safetensors")
    weights.decoder.style_inside = inside
    save_weights(replace(weights, path=None), tmp_path / "m.safetensors")
    result = run_here("export", tmp_path / "m.safetensors", "-o", tmp_path / "out")
    assert result.returncode == 2 and words in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_there_stays(run_here, tmp_path):
    (tmp_path / PAINT_FILE).write_bytes(b"mine")
    result = run_here("export", "lite", "-o", tmp_path)
    assert result.returncode == 2 and "--overwrite" in result.stderr
    assert (tmp_path / PAINT_FILE).read_bytes() == b"mine"


def test_what_is_not_installed_is_named(run_here, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = run_here("export", "lite", "-o", tmp_path)
    assert result.returncode == 2 and "pip install onnx onnxscript onnxruntime" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_pytorch_that_cannot_trace_is_refused(run_here, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.6.1"))
    result = run_here("export", "lite", "-o", tmp_path)
    assert result.returncode == 2 and "PyTorch 2.7" in result.stderr


def test_an_encoder_from_the_hub_has_a_license_of_its_own(tmp_path):
    from adain_core.cli.export import info_of
    from adain_core.models.weights import ModelWeights

    model = tiny_model("plain")
    weights = ModelWeights("vgg19-normalised", model.encoder, model.decoder, {"license": "MIT"})
    assert re.fullmatch(r"decoder: MIT; encoder: .*CC-BY-4\.0", info_of(weights)["license"])
    assert info_of(replace(weights, space="tiny"))["license"] == "MIT"
