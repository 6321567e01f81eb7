"""The study's figures: what is drawn, from what, and the training of what is missing."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adain_core.models.weights import load_weights, save_weights
from adain_core.pipeline.transfer import StyleTransfer
from tests.training.runs import pictures
from training import experiments, fit
from training.checkpoint import is_finished
from training.data import center_square, find_images
from training.figures import picture_grid


@dataclass
class Drawn:
    """What a figure shows."""

    rows: Sequence[Sequence[Tensor | None]]
    columns: Sequence[str] = ()
    labels: Sequence[str] = ()
    captions: Sequence[Sequence[str]] = ()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Drawn]:
    """The figures of pictures that a test has drawn, in order."""
    figures: list[Drawn] = []

    def draw(rows, path, columns=(), labels=(), captions=(), **options) -> None:
        figures.append(Drawn(rows, columns, labels, captions))
        picture_grid(rows, path, columns, labels, captions, **options)
        assert path.stat().st_size > 1000

    monkeypatch.setattr(experiments, "picture_grid", draw)
    return figures


def differ(row: Sequence[Tensor | None]) -> bool:
    """Whether all pictures of a row are there, and no two alike."""
    return all(not torch.equal(a, b) for i, a in enumerate(row) for b in row[:i])


def test_the_grid_shows_every_content_in_every_style(data: Path, run: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    options = ["--runs", str(run.parent), "--out", str(tmp_path / "figures"), "--rows", "2"]
    assert experiments.main(["grid", *pictures(data), *options]) == 0
    contents, styles = (
        [center_square(path, 32) for path in find_images(data / kind)[:2]] for kind in ("content", "style")
    )
    model = StyleTransfer.from_pretrained(run / "paper.safetensors", device="cpu")
    (figure,) = drawn
    assert figure.rows[0][0] is None and all(map(torch.equal, figure.rows[0][1:], [style[0] for style in styles]))
    for content, row in zip(contents, figure.rows[1:], strict=True):
        expected = [content, *(model(content, style) for style in styles)]
        assert all(torch.equal(a, b[0]) for a, b in zip(row, expected, strict=True))


def test_gatys_stands_beside_adain_with_times_and_losses(
    data: Path, run: Path, tmp_path: Path, drawn: list[Drawn]
) -> None:
    options = ["--runs", str(run.parent), "--out", str(tmp_path / "figures"), "--rows", "2", "--iterations", "3", "9"]
    assert experiments.main(["gatys", *pictures(data), *options, "--loss-network", str(data / "loss.safetensors")]) == 0
    (figure,) = drawn
    assert figure.columns == ["content", "style", "AdaIN", "Gatys, 3 iterations", "Gatys, 9 iterations"]
    assert len(figure.rows) == 2 and all(map(differ, figure.rows))
    for captions in figure.captions:
        assert captions[:2] == ["", ""] and all(" s\ncontent loss " in caption for caption in captions[2:])


def test_figures_of_the_embedded_model_need_no_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], drawn: list[Drawn]
) -> None:
    options = ["--model", "lite", "--out", str(tmp_path / "figures"), "--rows", "1", "--size", "32"]
    assert experiments.main(["grid", *pictures(data), *options]) == 0
    assert len(drawn) == 1 and differ(drawn[0].rows[1])
    assert experiments.main(["skip-add", *pictures(data), *options]) == 2
    assert "--model is for gatys and grid" in capsys.readouterr().err


def test_the_studys_decoders_are_embedded(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], drawn: list[Drawn]
) -> None:
    options = ["--embedded", "--out", str(tmp_path / "figures"), "--rows", "1", "--size", "64"]
    for name in ("skip-add", "skip-concat"):
        assert experiments.main([name, *pictures(data), *options]) == 0
        figure = drawn.pop()
        assert figure.columns == ["content", "style", *experiments.RECIPES[name]]
        assert len(figure.rows) == 1 and differ(figure.rows[0])
    assert experiments.main(["curves", *pictures(data), *options]) == 2
    assert "--embedded is for skip-add and skip-concat" in capsys.readouterr().err


def test_experiments_train_what_is_missing(data: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    tiny = [part for change in small_changes(data) for part in ("--set", change)]
    training = ["--train", "--train-content", str(data / "content"), "--train-style", str(data / "style")]
    places = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "figures"), "--rows", "2"]
    assert experiments.main(["normalization", *pictures(data), *places, *training, *tiny]) == 0
    (figure,) = drawn
    assert figure.columns == ["content", "style", *experiments.NORMALIZATIONS]
    assert len(figure.rows) == 2 and all(map(differ, figure.rows))
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*.safetensors")}
    assert set(made) == {f"{recipe}.safetensors" for recipe in experiments.NORMALIZATIONS}
    assert experiments.main(["normalization", *pictures(data), *places, *training, *tiny]) == 0
    assert made == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*.safetensors")}


def test_an_interrupted_training_is_not_followed_by_the_next(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [part for change in [*small_changes(data), "steps=2"] for part in ("--set", change)]
    training = ["--train", "--train-content", str(data / "content"), "--train-style", str(data / "style")]
    places = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "figures")]
    step = fit.Trainer.step

    def interrupted(trainer: fit.Trainer, *crops: object) -> None:
        step(trainer, *crops)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(fit.Trainer, "step", interrupted)
    assert experiments.main(["normalization", *pictures(data), *places, *training, *few]) == 2
    assert "was interrupted; the same command goes on" in capsys.readouterr().err
    assert len(list((tmp_path / "runs").iterdir())) == 1
    (left,) = (tmp_path / "runs").glob("*/*.safetensors")
    assert not is_finished(left)
    monkeypatch.setattr(fit.Trainer, "step", step)
    assert experiments.main(["normalization", *pictures(data), *places, *training, *few]) == 0
    assert is_finished(left)


def small_changes(data: Path) -> list[str]:
    networks = [f"{key}={data / 'loss.safetensors'}" for key in ("encoder", "loss_network")]
    return [
        *networks,
        "steps=1",
        "lr=0.01",
        "log_every=1",
        "size=40",
        "crop=32",
        "batch_size=2",
        "workers=0",
        "precision=float32",
    ]


def copies_of(run: Path, name: str) -> list[str]:
    """The recipes of an experiment, each with that one run."""
    recipes = experiments.RECIPES[name]
    for recipe in recipes:
        if recipe != "paper":
            (run.parent / recipe).mkdir()
            weights = load_weights(run / "paper.safetensors")
            save_weights(weights, run.parent / recipe / f"{recipe}.safetensors")
            (run.parent / recipe / "log.csv").write_bytes((run / "log.csv").read_bytes())
    return recipes


def test_style_weights_by_alphas(data: Path, run: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    recipes = copies_of(run, "alpha-grid")
    options = ["--runs", str(run.parent), "--out", str(tmp_path / "figures"), "--rows", "2"]
    assert experiments.main(["alpha-grid", *pictures(data), *options]) == 0
    (figure,) = drawn
    assert figure.labels == recipes and len(figure.rows) == len(recipes)
    assert figure.columns == ["content", "style", "alpha 0", "alpha 0.25", "alpha 0.5", "alpha 0.75", "alpha 1"]
    assert all(map(differ, figure.rows))
    far = [(picture - figure.rows[0][2]).abs().mean() for picture in figure.rows[0][2:]]
    assert far == sorted(far)


def test_curves_of_several_runs(data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies_of(run, "curves")
    drawn = {}
    monkeypatch.setattr(experiments, "loss_curves", lambda logs, path: drawn.update({path.name: list(logs)}))
    options = ["--runs", str(run.parent), "--out", str(tmp_path / "figures")]
    assert experiments.main(["curves", *pictures(data), *options]) == 0
    assert drawn == {f"curves-{group}.png": recipes for group, recipes in experiments.CURVES.items()}


def test_a_figure_of_some_recipes_only(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], drawn: list[Drawn]
) -> None:
    options = ["--runs", str(run.parent), "--out", str(tmp_path / "figures"), "--rows", "1"]
    assert experiments.main(["skip-concat", *pictures(data), *options, "--only", "paper"]) == 0
    assert [figure.columns for figure in drawn] == [["content", "style", "paper"]]
    assert experiments.main(["skip-concat", *pictures(data), *options, "--only", "add-both"]) == 2
    assert "has the recipes paper, concat-content" in capsys.readouterr().err


def test_experiments_name_the_missing_runs(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--runs", str(tmp_path), "--out", str(tmp_path / "figures")]
    assert experiments.main(["pre-normalized", *pictures(data), *places]) == 2
    assert "lacks the runs paper, pre-normalized" in capsys.readouterr().err
