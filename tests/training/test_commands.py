"""The commands around training: evaluate, normalize_vgg, subset, benchmark."""

from __future__ import annotations

import csv
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adain_core.images.files import write_picture
from adain_core.images.pictures import Picture
from adain_core.models.spaces import space_of
from adain_core.models.weights import EMBEDDED, Weights, load_weights, save_weights
from adain_core.networks.encoder import Encoder
from tests.helpers import ROOT, TINY_WIDTHS, random_picture
from tests.training.runs import pictures
from training import benchmark, evaluate, fit, normalize_vgg, subset
from training.command import TrainingError
from training.data import center_square, find_images
from training.networks import initialize
from training.pairs import pair_numbers
from training.records import Records

Arguments = Callable[..., list[str]]


def test_evaluate_compares_models_and_baselines(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(run / "paper.safetensors")
    options = ["--loss-network", str(data / "loss.safetensors"), "--pairs", "6", "--out", str(tmp_path / "out")]
    assert evaluate.main([*pictures(data), *options, "--model", f"one={model}", "--model", model]) == 0
    assert load_weights(data / "loss.safetensors").space in capsys.readouterr().out
    rows = table(tmp_path / "out")
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


def evaluation(data: Path, out: Path, *more: str) -> int:
    """Evaluate with the small loss network, every content in every style."""
    options = ["--loss-network", str(data / "loss.safetensors"), "--pairs", "all", "--out", str(out), *more]
    return evaluate.main([*pictures(data), *options])


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "table.csv").open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def test_all_pairs_are_every_content_in_every_style_of_which_some_may_be_taken() -> None:
    everything = pair_numbers(None, contents=20, styles=40)
    assert sorted(everything) == [(i, j) for i in range(20) for j in range(40)]
    some = pair_numbers(None, contents=20, styles=40, every=13)
    assert some == everything[::13] and len(some) == 62
    assert {i for i, _ in some} == set(range(20)) and len({j for _, j in some}) == 40
    assert pair_numbers(40, 20, 20, every=20) == [(0, 0), (0, 1)]


def test_pictures_of_another_program_are_measured_as_if_a_model_had_made_them(data: Path, tmp_path: Path) -> None:
    for i, content in enumerate(find_images(data / "content")):
        for style in find_images(data / "style"):
            joint = "_stylized_" if i % 2 else "_"
            name = f"{content.stem}{joint}{style.stem}.png"
            write_picture(Picture(center_square(style, 32)), tmp_path / "theirs" / name)
    assert evaluation(data, tmp_path / "out", "--results", f"other={tmp_path / 'theirs'}", "--every", "3") == 0
    rows = table(tmp_path / "out")
    assert float(rows["other"]["content"]) == pytest.approx(float(rows["copy style"]["content"]), rel=1e-2)
    assert float(rows["other"]["style"]) < 1e-3 < float(rows["copy content"]["style"])
    assert float(rows["copy content"]["chroma"]) == pytest.approx(1) and rows["other"]["seconds"] == ""


def test_a_folder_of_results_is_complete(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "theirs").mkdir()
    assert evaluation(data, tmp_path / "out", "--results", str(tmp_path / "theirs")) == 2
    assert "theirs lacks the picture 0_0.png" in capsys.readouterr().err
    assert evaluation(data, tmp_path / "out", "--results", str(tmp_path / "nowhere")) == 2
    assert "There is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("settings.json", b"{"),
        ("settings.json", b"5"),
        ("pairs.csv", b"\xff\n"),
        ("pairs.csv", b"1" * 200_000 + b"\n"),
        ("pairs.csv", f"model,pair,{','.join(evaluate.COLUMNS[:6])}\npaper,0_0,much\n".encode()),
    ],
)
def test_damaged_numbers_of_an_evaluation_are_not_gone_on_from(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=f"{name} is damaged"):
        Records(tmp_path, {}, evaluate.COLUMNS[:6])
    assert (tmp_path / name).read_bytes() == content


def test_an_interrupted_evaluation_goes_on_and_comes_to_the_same_numbers(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ["--model", str(run / "paper.safetensors"), "--dtype", "float32"]
    assert evaluation(data, tmp_path / "whole", *model) == 0
    measured: list[int] = []
    measure_pair = evaluate.measure_pair

    def interrupted(contestant, pairs, number, first):
        if len(measured) == 50:
            raise KeyboardInterrupt
        measured.append(number)
        return measure_pair(contestant, pairs, number, first)

    monkeypatch.setattr(evaluate, "measure_pair", interrupted)
    assert evaluation(data, tmp_path / "parts", *model) == 130
    file = tmp_path / "parts" / "pairs.csv"
    file.write_text(file.read_text() + "paper,3_")  # a line that was cut short
    measured.clear()
    assert evaluation(data, tmp_path / "parts", *model) == 0
    assert len(measured) == 3 * 20 - 50
    whole, parts = table(tmp_path / "whole"), table(tmp_path / "parts")
    for label, row in whole.items():
        for column in row.keys() - {"model", "seconds", "MiB"}:
            assert row[column] == parts[label][column] or float(row[column]) == pytest.approx(
                float(parts[label][column]), rel=1e-6
            )
    assert float(parts["paper"]["PSNR at alpha 0"]) > 0 and float(parts["paper"]["MiB"]) >= 0


def test_an_evaluation_does_not_mix_with_one_of_other_settings(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(run / "paper.safetensors")
    assert evaluation(data, tmp_path / "out", "--model", f"one={model}", "--every", "7") == 0
    assert evaluation(data, tmp_path / "out", "--model", f"two={model}", "--every", "7") == 0
    assert list(table(tmp_path / "out")) == ["copy content", "copy style", "two"]
    assert evaluation(data, tmp_path / "out", "--model", f"one={model}", "--alpha", "0.5") == 2
    assert "holds an evaluation with alpha = 1; name another folder" in capsys.readouterr().err
    assert evaluation(data, tmp_path / "out", "--model", "one=study-plain") == 2
    assert "holds an evaluation with model one" in capsys.readouterr().err


def test_the_pictures_are_kept_under_the_pairs_names(data: Path, run: Path, tmp_path: Path) -> None:
    model, kept = f"one={run / 'paper.safetensors'}", tmp_path / "out" / "pictures"
    assert evaluation(data, tmp_path / "out", "--model", model, "--every", "9") == 0
    assert not kept.exists()
    assert evaluation(data, tmp_path / "out", "--model", model, "--every", "9", "--save") == 0
    folders = {folder.name: sorted(path.name for path in folder.iterdir()) for folder in kept.iterdir()}
    assert folders == {row: ["0_0.png", "2_1.png", "4_2.png"] for row in ("copy content", "copy style", "one")}
    copy = center_square(kept / "copy content" / "2_1.png", 32)
    torch.testing.assert_close(copy, center_square(data / "content" / "2.png", 32), rtol=0, atol=1 / 255)


def test_evaluate_says_what_it_cannot_tell_apart(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluation(data, tmp_path, "--model", "study-plain", "--model", "study-plain") == 2
    assert "Two are called study-plain" in capsys.readouterr().err
    write_picture(Picture(random_picture(40, 40)), tmp_path / "more" / "0.png")
    arguments = ["--content", str(data / "content"), str(tmp_path / "more"), "--style", str(data / "style")]
    options = ["--pairs", "all", "--model", "study-plain", "--loss-network", str(data / "loss.safetensors")]
    assert evaluate.main([*arguments, *options]) == 2
    assert "2 pairs are called 0_0" in capsys.readouterr().err
    assert evaluate.main([*pictures(data), "--loss-network", str(data / "loss.safetensors")]) == 2
    assert "There is nothing to compare" in capsys.readouterr().err
    assert evaluate.main([*pictures(data), *options[2:], "--save"]) == 2
    assert "--save needs --out" in capsys.readouterr().err


def test_pairs_are_those_of_the_anchors() -> None:
    numbers = pair_numbers(40, contents=20, styles=20)
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
        ("--pairs=0", "'0' is not a whole number from 1 to 1000000000"),
        ("--size=15", "'15' is too small; expected at least 16 pixels"),
        ("--size=-1", "'-1' is not a whole number from 1 to 1000000000"),
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
        assert evaluate.labeled_model(text, "cpu", "float32")[0] == label


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


def test_numbers_of_pairs_become_means_medians_and_peaks() -> None:
    empty: dict[str, float | None] = dict.fromkeys(evaluate.COLUMNS)
    rows = [
        {**empty, "content": 1.0, "chroma": 0.5, "seconds": 1.0, "MiB": 3.0},
        {**empty, "content": 2.0, "chroma": None, "seconds": 2.0, "MiB": 7.0},
        {**empty, "content": 6.0, "chroma": 0.7, "seconds": 9.0},
    ]
    found = evaluate.summary(rows)
    assert (found["content"], found["seconds"], found["MiB"], found["SSIM"]) == (3.0, 2.0, 7.0, None)
    assert found["chroma"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("error", "code", "end"), [("KeyboardInterrupt", 130, "Interrupted."), ("OSError(5)", 1, "OSError: 5")]
)
def test_an_interruption_ends_in_a_sentence_while_pytorch_is_imported_too(
    error: str, code: int, end: str, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text(f"raise {error}")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "training.subset"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    *traceback, last = done.stderr.splitlines()
    assert (done.returncode, last, bool(traceback)) == (code, end, code == 1)
