"""Training runs: every recipe, several processes, bad input; see test_resume for what is interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adain_core.models.weights import EMBEDDED
from adain_core.networks.decoder import Decoder
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats
from tests.helpers import ROOT, TINY_WIDTHS, random_picture
from tests.training.runs import assert_same_run, decoder_of_the_loss_network, read_log
from training.fit import main
from training.recipe import RECIPES, load_recipe

Arguments = Callable[..., list[str]]
RECIPE_NAMES = sorted(path.stem for path in RECIPES.glob("*.toml"))
EXPECTED_RECIPES = {
    "paper",
    "torchvision-encoder",
    "pre-normalized",
    "style-weight-1",
    "style-weight-5",
    "style-weight-20",
    "add-content",
    "add-style",
    "add-both",
    "concat-content",
    "concat-style",
    "concat-both",
    "concat-content-adain",
    "norm-batch",
    "norm-instance",
    "norm-conditional",
    "lite",
    "lite-large",
}


def test_every_experiment_of_the_report_has_a_recipe() -> None:
    assert set(RECIPE_NAMES) >= EXPECTED_RECIPES


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_every_recipe_gives_a_model_that_stylizes(
    recipe: str, tmp_path: Path, fit_arguments: Arguments, data: Path
) -> None:
    run = tmp_path / "run"
    changes = [f"widths=[{','.join(map(str, TINY_WIDTHS))}]"] if load_recipe(recipe, []).train_encoder else []
    if load_recipe(recipe, []).color_teacher:
        changes.append(f"color_teacher={decoder_of_the_loss_network(tmp_path, data)}")
    assert main(fit_arguments(run, "steps=2", *changes, recipe=recipe)) == 0
    assert [row["step"] for row in read_log(run)] == [1, 2]
    assert {"checkpoint.pt", "curves.png", "samples.png", "run.safetensors"} <= {p.name for p in run.iterdir()}
    model = StyleTransfer.from_pretrained(run / "run.safetensors", device="cpu")
    alpha = 0.0 if recipe == "norm-batch" else 1.0
    result = model(random_picture(40, 56, seed=1), random_picture(33, 48, seed=2), alpha=alpha)
    assert result.shape == (1, 3, 40, 56)
    assert result.isfinite().all()


@pytest.mark.parametrize("optimizer", ["adam", "soap"])
def test_the_losses_fall(optimizer: str, tmp_path: Path, fit_arguments: Arguments) -> None:
    changes = ("steps=60", "lr=3e-3", f"optimizer={optimizer}")
    assert main(fit_arguments(tmp_path / "run", *changes)) == 0
    totals = [row["total"] for row in read_log(tmp_path / "run")]
    assert len(totals) == 60
    assert sum(totals[-10:]) < 0.6 * sum(totals[:10])


def test_a_style_inside_the_decoder_takes_no_other(tmp_path: Path, fit_arguments: Arguments) -> None:
    run = tmp_path / "run"
    assert main(fit_arguments(run, "steps=2", "decoder=concat-content", recipe="norm-batch")) == 0
    model = StyleTransfer.from_pretrained(run / "run.safetensors", device="cpu")
    content, styles = random_picture(40, 56), [random_picture(33, 48, seed=seed) for seed in (1, 2)]
    assert torch.equal(model(content, styles[0], alpha=0), model(content, styles[1], alpha=0))
    for low_memory in (False, True):
        with pytest.raises(ValueError, match=r"its one style inside.* use alpha 0"):
            model(content, styles[0], alpha=0.5, low_memory=low_memory)
    # In four steps another model may blend: what counts is the one that decodes.
    other = StyleTransfer(model.encoder, Decoder(TINY_WIDTHS), model.space, model.device)
    blended = other.blend(other.encode(content), other.compute_style_stats(styles[0]), alpha=0.5)
    assert other.decode(blended).isfinite().all()
    with pytest.raises(ValueError, match="its one style inside"):
        model.decode(blended)


def test_soap_without_its_package_is_refused(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    assert main(fit_arguments(tmp_path / "run", "optimizer=soap")) == 2
    assert "needs the package pytorch-optimizer" in capsys.readouterr().err


def test_conditional_normalization_exports_a_style_for_each_image(
    tmp_path: Path, fit_arguments: Arguments, data: Path
) -> None:
    run = tmp_path / "run"
    assert main(fit_arguments(run, "lr=1e-2", recipe="norm-conditional")) == 0
    files = sorted((run / "styles").iterdir())
    assert [path.name for path in files] == [f"{path.name}.safetensors" for path in sorted((data / "style").iterdir())]
    styles = [StyleStats.load(path) for path in files]
    assert not torch.equal(styles[0].mean["relu4_1"], styles[1].mean["relu4_1"])
    model = StyleTransfer.from_pretrained(run / "run.safetensors", device="cpu")
    assert model(random_picture(40, 56), styles[0]).isfinite().all()


def test_both_conventions_and_the_optional_terms(tmp_path: Path, fit_arguments: Arguments) -> None:
    changes = ("convention=euclidean", "identity_weight=2", "tv_weight=3", "steady_weight=4", "steps=2")
    assert main(fit_arguments(tmp_path / "run", *changes)) == 0
    assert main(fit_arguments(tmp_path / "mse", "steps=2")) == 0
    row, mse = read_log(tmp_path / "run")[0], read_log(tmp_path / "mse")[0]
    assert row["content"] != pytest.approx(mse["content"])
    assert row["total"] > row["content"] + 10 * row["style"]
    assert row["steady"] > 0
    assert mse["total"] == pytest.approx(mse["content"] + 10 * mse["style"], rel=1e-4)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_decoder_learns_with_transport_and_an_encoder_through_it(
    learns: bool, precision: str, tmp_path: Path, fit_arguments: Arguments
) -> None:
    changes = [f"widths=[{','.join(map(str, TINY_WIDTHS))}]", "train_encoder=true"] if learns else []
    changes += ["decoder=concat-content-transport", f"precision={precision}", "steps=3"]
    assert main(fit_arguments(tmp_path / "run", *changes)) == 0
    rows = read_log(tmp_path / "run")
    assert len(rows) == 3 and rows[2]["total"] < 2 * rows[0]["total"]
    model = StyleTransfer.from_pretrained(tmp_path / "run" / "run.safetensors", device="cpu")
    assert str(model.skips) == "concat-content-transport"


def test_results_take_on_the_coarse_colors_of_the_teacher(tmp_path: Path, fit_arguments: Arguments, data: Path) -> None:
    teacher = decoder_of_the_loss_network(tmp_path, data)
    changes = ("steps=40", "lr=3e-3", "content_weight=0", "style_weight=0", f"color_teacher={teacher}")
    assert main(fit_arguments(tmp_path / "run", *changes)) == 0
    rows = read_log(tmp_path / "run")
    assert 0 < rows[-1]["total"] < 0.2 * rows[0]["total"]
    assert all(row["total"] == pytest.approx(100 * row["color"], rel=1e-4) and row["chroma"] > 0 for row in rows)


def test_samples_come_before_the_first_line_of_the_log(tmp_path: Path, fit_arguments: Arguments) -> None:
    changes = ("steps=3", "sample_seconds=0", "log_seconds=100")
    assert main(fit_arguments(tmp_path / "run", *changes)) == 0
    assert [row["step"] for row in read_log(tmp_path / "run")] == [3]


def test_a_teacher_of_colors_that_does_not_fit_is_refused(
    tmp_path: Path, fit_arguments: Arguments, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, found in (
        (decoder_of_the_loss_network(tmp_path, data, "concat-content"), "a concat-content decoder"),
        (data / "loss.safetensors", "an encoder"),
        (EMBEDDED / "vgg19-plain.safetensors", "a plain decoder for vgg19-normalised"),
    ):
        assert main(fit_arguments(tmp_path / "run", f"color_teacher={file}")) == 2
        assert f"this file holds {found}" in capsys.readouterr().err


def test_parts_of_a_batch_add_up(tmp_path: Path, fit_arguments: Arguments) -> None:
    for parts in (1, 4):
        run = tmp_path / str(parts) / "run"
        assert main(fit_arguments(run, "batch_size=4", f"accumulate={parts}", "decoder=concat-both")) == 0
    # Sums in another order differ in their last digits, and the gradient jumps where a value reaches black or white.
    assert_same_run(tmp_path / "4" / "run", tmp_path / "1" / "run", tolerance=2e-3)


def test_two_processes_are_one_with_half_a_batch_each(tmp_path: Path, fit_arguments: Arguments) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "-m"]
    arguments = fit_arguments(tmp_path / "two" / "run", "batch_size=4", "log_seconds=100")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    two = subprocess.run(
        [*launch, "training.fit", *arguments], env=environment, capture_output=True, text=True, timeout=120
    )
    assert two.returncode == 0, two.stderr
    assert main(fit_arguments(tmp_path / "one" / "run", "batch_size=4", "log_seconds=100")) == 0
    assert_same_run(tmp_path / "two" / "run", tmp_path / "one" / "run", tolerance=1e-3)
    checkpoint = torch.load(tmp_path / "two" / "run" / "checkpoint.pt", weights_only=True)
    assert checkpoint["processes"] == 2


def test_bfloat16_stays_near_float32(tmp_path: Path, fit_arguments: Arguments) -> None:
    for precision in ("bfloat16", "float32"):
        assert main(fit_arguments(tmp_path / precision, f"precision={precision}", "steps=1")) == 0
    half, full = (read_log(tmp_path / name)[0] for name in ("bfloat16", "float32"))
    assert half["total"] == pytest.approx(full["total"], rel=0.03)
    assert half["total"] != full["total"]


def test_compiled_networks_learn_the_same(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tracing is what can go wrong with these networks; the compiler behind it takes minutes.
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compile_module(module, backend="eager"))
    for compiled in ("true", "false"):
        run = tmp_path / compiled / "run"
        assert main(fit_arguments(run, f"compile={compiled}", "steps=2", "decoder=concat-content")) == 0
    assert_same_run(tmp_path / "true" / "run", tmp_path / "false" / "run", tolerance=1e-3)


def test_the_moving_average_is_what_is_exported(tmp_path: Path, fit_arguments: Arguments) -> None:
    assert main(fit_arguments(tmp_path / "run", "ema=0.5", "lr=1e-2")) == 0
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    exported = load_file(tmp_path / "run" / "run.safetensors")["decoder.conv1_1.weight"]
    torch.testing.assert_close(exported, state["average"]["module.decoder.conv1_1.weight"].half())
    assert not torch.equal(exported, state["stylizer"]["decoder.conv1_1.weight"].half())


def test_a_start_gives_what_fits(tmp_path: Path, fit_arguments: Arguments) -> None:
    assert main(fit_arguments(tmp_path / "plain", "steps=1")) == 0
    start = tmp_path / "plain" / "plain.safetensors"
    assert main(fit_arguments(tmp_path / "add", "steps=1", "lr=0", f"start={start}", "decoder=add-content")) == 0
    plain, add = (load_file(tmp_path / name / f"{name}.safetensors") for name in ("plain", "add"))
    assert all(torch.equal(plain[key], add[key]) for key in plain)


def test_a_loss_that_is_not_finite_ends_the_run(
    tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_arguments(tmp_path / "run", "lr=1e30", "checkpoint_seconds=0")) == 2
    assert "not finite" in capsys.readouterr().err
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["step"] >= 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("stile_weight=3", "did you mean 'style_weight'"),
        ("crop=8", "at least 16"),
        ("crop=100", "a multiple of 8"),
        ("decoder=concat", "no kind of decoder"),
        ("accumulate=3", "divisor of batch_size"),
        ("normalization=conditional", "plain or skips from the content"),
        ("loss_network=nowhere.safetensors", "nowhere.safetensors"),
        ("steps=0", "at least 1"),
    ],
)
def test_bad_recipes(
    change: str, expected: str, tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = ("decoder=add-style",) if change.startswith("normalization") else ()
    assert main(fit_arguments(tmp_path / "run", *extra, change)) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_bad_folders(tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    empty, corrupt = tmp_path / "empty", tmp_path / "corrupt"
    empty.mkdir()
    corrupt.mkdir()
    for i in range(3):
        (corrupt / f"{i}.jpg").write_bytes(b"no image")
    for folder, expected in (
        (empty, "holds no images"),
        (corrupt, "None of the 3 images"),
        (tmp_path / "no", "no file or"),
    ):
        assert main([*fit_arguments(tmp_path / "run"), "--content", str(folder)]) == 2
        error = capsys.readouterr().err
        assert expected in error
        assert str(folder) in error
