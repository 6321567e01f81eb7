"""The commands around training: evaluate, normalize_vgg, subset, benchmark."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adain_core.models.spaces import space_of
from adain_core.models.weights import EMBEDDED, Weights, load_weights, save_weights
from adain_core.networks.encoder import Encoder
from tests.helpers import TINY_WIDTHS, random_picture
from tests.training.runs import pictures
from training import benchmark, evaluate, fit, normalize_vgg, subset
from training.data import center_square, find_images
from training.networks import initialize

Arguments = Callable[..., list[str]]


def test_evaluate_compares_models_and_baselines(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(run / "paper.safetensors")
    options = ["--loss-network", str(data / "loss.safetensors"), "--pairs", "6", "--out", str(tmp_path / "out")]
    assert evaluate.main([*pictures(data), *options, "--model", f"one={model}", "--model", model]) == 0
    assert load_weights(data / "loss.safetensors").space in capsys.readouterr().out
    with (tmp_path / "out" / "table.csv").open(newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["copy content", "copy style", "one", "paper"]
    assert float(rows["copy content"]["SSIM"]) == pytest.approx(1)
    assert float(rows["copy style"]["style"]) == pytest.approx(0, abs=1e-8)
    assert float(rows["copy content"]["style"]) > 0
    taps = sum(float(rows["one"][tap]) for tap in ("relu1_1", "relu2_1", "relu3_1", "relu4_1"))
    assert float(rows["one"]["style"]) == pytest.approx(taps)
    assert rows["one"]["content"] == rows["paper"]["content"]
    assert float(rows["one"]["seconds"]) > 0
    assert (tmp_path / "out" / "contact_sheet.jpg").stat().st_size > 0


def test_evaluate_takes_a_decoder_with_its_style_inside_as_it_is(
    data: Path, tmp_path: Path, fit_arguments: Arguments
) -> None:
    run = tmp_path / "batch"
    assert fit.main(fit_arguments(run, "steps=1", recipe="norm-batch")) == 0
    options = ["--loss-network", str(data / "loss.safetensors"), "--pairs", "2", "--out", str(tmp_path / "out")]
    assert evaluate.main([*pictures(data), *options, "--model", str(run / "batch.safetensors")]) == 0
    with (tmp_path / "out" / "table.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    assert float(row["style"]) > 0 and row["PSNR at alpha 0"] == ""


def test_pairs_are_those_of_the_anchors() -> None:
    numbers = evaluate.pair_numbers(40, contents=20, styles=20)
    assert [numbers[i] for i in (0, 1, 2, 3, 19, 20, 21, 39)] == [
        (0, 0), (1, 7), (2, 14), (3, 1), (19, 13), (0, 1), (1, 8), (19, 14)
    ]  # fmt: skip
    assert len(set(numbers)) == 40


def test_evaluate_names_what_is_missing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--loss-network", str(data / "loss.safetensors"), "--model", "nowhere.safetensors"]
    assert evaluate.main([*pictures(data), *options]) == 2
    assert "nowhere.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--alpha=nan", "'nan' is not a number from 0 to 1"),
        ("--alpha=2", "'2' is not a number from 0 to 1"),
        ("--pairs=0", "'0' is not a whole number from 1 to a billion"),
        ("--size=15", "'15' is too small; expected at least 16 pixels"),
        ("--size=-1", "'-1' is not a whole number from 1 to a billion"),
    ],
)
def test_evaluate_names_numbers_that_are_none(
    data: Path, capsys: pytest.CaptureFixture[str], option: str, message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        evaluate.main([*pictures(data), "--model", "lite", option])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_normalized_filters_have_mean_one_and_the_function_stays(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    encoder = Encoder(TINY_WIDTHS)
    initialize(encoder)
    encoder.conv2_1.bias.data[0] = -1000  # never fires
    save_weights(Weights(space_of("raw", encoder), encoder), tmp_path / "raw.safetensors", torch.float32)
    out = tmp_path / "normalized.safetensors"
    arguments = ["--images", str(data / "content"), "--encoder", str(tmp_path / "raw.safetensors")]
    assert normalize_vgg.main([*arguments, "--out", str(out), "--size", "48", "--device", "cpu"]) == 0

    weights = load_weights(out)
    images = [center_square(path, 48) for path in find_images(data / "content")]
    before = normalize_vgg.mean_activations(encoder, images)
    means = normalize_vgg.mean_activations(weights.encoder, images)
    for name, mean in means.items():
        alive = before[name] > 1e-6
        torch.testing.assert_close(mean[alive], torch.ones_like(mean[alive]), rtol=0, atol=1e-3)
    assert not before["conv2_1"][0] and not means["conv2_1"][0]

    image = random_picture(40, 40, seed=9)
    for tap in ("relu2_1", "relu4_1"):
        old, new = encoder(image, [tap])[tap], weights.encoder(image, [tap])[tap]
        scale = torch.where(before[tap.replace("relu", "conv")] > 1e-6, before[tap.replace("relu", "conv")], 1.0)
        torch.testing.assert_close(new * scale.float().view(1, -1, 1, 1), old, rtol=1e-3, atol=1e-3)
    assert weights.space.startswith("normalized-")


@pytest.mark.parametrize("copy", [False, True])
def test_a_subset_is_random_but_repeatable(copy: bool, data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        options = ["--count", "3", "--seed", "5", *(["--copy"] if copy else [])]
        assert subset.main(["--source", str(data), "--out", str(tmp_path / name), *options]) == 0
    one, two = ([path.relative_to(tmp_path / name) for path in find_images(tmp_path / name)] for name in ("one", "two"))
    assert one == two
    assert len(one) == 3
    for path in one:
        assert (tmp_path / "one" / path).samefile(data / path) != copy
        assert (tmp_path / "one" / path).read_bytes() == (data / path).read_bytes()


def test_a_subset_that_cannot_be_linked_leaves_room_for_copies(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    options = ["--source", str(data), "--out", str(tmp_path / "out"), "--count", "2"]
    monkeypatch.setattr(os, "link", refuse)
    assert subset.main(options) == 2
    assert "Use --copy" in capsys.readouterr().err
    assert subset.main([*options, "--copy"]) == 0


def test_a_model_may_have_a_label_and_an_equals_sign_in_its_path(tmp_path: Path) -> None:
    path = tmp_path / "lr=1e-3" / "mine.safetensors"
    path.parent.mkdir()
    path.write_bytes((EMBEDDED / "study-plain.safetensors").read_bytes())
    for text, label in ((f"{path}", "mine"), (f"slow={path}", "slow"), ("a=lite", "a"), ("lite", "lite")):
        assert evaluate.load_model(text, "cpu", "float32")[0] == label


def test_a_subset_is_not_larger_than_the_set(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert subset.main(["--source", str(data), "--out", str(tmp_path / "out"), "--count", "10"]) == 2
    assert "expected 1 to 9" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_benchmark_prints_a_line_for_each_width_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--sizes", "32", "48", "--widths", "8,8,8,8", "4,8,8,8", "--repeats", "1"]
    assert benchmark.main([*options, "--device", "cpu", "--dtype", "float32"]) == 0
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "8,8,8 " in line]
    assert [(line[0].strip(), line[2].strip()) for line in lines] == [
        ("8,8,8,8", "32"),
        ("8,8,8,8", "48"),
        ("4,8,8,8", "32"),
        ("4,8,8,8", "48"),
    ]
    for line in lines:
        *steps, total = (float(cell) for cell in line[3:8])
        assert total == pytest.approx(sum(steps), abs=0.3)
        assert total > 0


def test_large_pictures_have_processes_of_their_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "LARGE", [((8, 8, 8, 8), 600, "off"), ((8, 8, 8, 8), 600, 64)])
    assert benchmark.main(["--large", "--device", "cpu", "--dtype", "float32"]) == 0
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "8,8,8 " in line]
    assert [line[3].strip() for line in lines] == ["off", "64"]
    seconds, beyond, in_all = zip(*([float(cell) for cell in line[4:]] for line in lines), strict=True)
    assert min(seconds) > 0
    assert beyond[0] > beyond[1] > 0
    assert all(total > part for total, part in zip(in_all, beyond, strict=True))
