"""The study's figures: what is drawn, from what, and the training of what is missing."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats
from tests.training.runs import pictures
from training import experiments, figures, gallery, kinds
from training.checkpoint import is_finished
from training.data import center_square, find_images
from training.figures import picture_grid
from training.gallery import EXAMPLES
from training.trainer import Trainer


@dataclass
class Drawn:
    """What a figure shows."""

    name: str
    rows: Sequence[Sequence[Tensor | None]]
    columns: Sequence[str] = ()
    labels: Sequence[str] = ()
    captions: Sequence[Sequence[str]] = ()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Drawn]:
    """The figures of pictures that a test has drawn, in order."""
    figures: list[Drawn] = []

    def draw(rows, path, columns=(), labels=(), captions=(), **options) -> None:
        figures.append(Drawn(path.stem, rows, columns, labels, captions))
        picture_grid(rows, path, columns, labels, captions, **options)
        assert path.stat().st_size > 1000

    monkeypatch.setattr(kinds, "picture_grid", draw)
    return figures


def make(name: str, data: Path, out: Path, *options: str) -> int:
    """Make a figure, or all, of small pictures."""
    small = ["--out", str(out), "--iterations", "2", "4", "--loss-network", str(data / "loss.safetensors")]
    return experiments.main([name, *pictures(data), *small, *options])


def differ(row: Sequence[Tensor | None]) -> bool:
    """Whether all pictures of a row are there, and no two alike."""
    return all(not torch.equal(a, b) for i, a in enumerate(row) for b in row[:i])


def test_one_command_makes_every_figure_and_says_before_how_long_it_takes(
    data: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], drawn: list[Drawn]
) -> None:
    assert make("all", data, tmp_path / "figures", "--runs", str(runs), "--rows", "2") == 0
    names = [*(f"figure-{n}" for n in range(1, 14)), "section-2.1"]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {f"{name}.png" for name in names}
    assert all(path.stat().st_size > 2000 for path in (tmp_path / "figures").iterdir())
    first, *rest = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{', '.join(names)}: about \d+ min here\.", first)
    assert rest == [str(tmp_path / "figures" / f"{name}.png") for name in names]
    figures = {figure.name: figure for figure in drawn}
    assert all(differ(row) for name in ("figure-2", "figure-3", "figure-4", "figure-7") for row in figures[name].rows)


def test_a_comparison_shows_each_model_on_each_pair(data: Path, runs: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    assert make("figure-2", data, tmp_path, "--runs", str(runs), "--rows", "3") == 0
    (figure,) = drawn
    assert figure.columns == ["content", "style", *(f"style weight {n}" for n in (1, 5, 10, 20))]
    contents, styles = shown(data, 3)
    for content, style, row in zip(contents, styles, figure.rows, strict=True):
        assert torch.equal(row[0], content[0]) and torch.equal(row[1], style[0])
        for picture, recipe in zip(
            row[2:], ["style-weight-1", "style-weight-5", "paper", "style-weight-20"], strict=True
        ):
            model = StyleTransfer.from_pretrained(
                runs / recipe / f"{recipe}.safetensors", device="cpu", dtype="float32"
            )
            assert torch.equal(picture, model(content, style)[0])


def shown(data: Path, count: int) -> tuple[list[Tensor], list[Tensor]]:
    contents, styles = (
        [center_square(path, 32) for path in find_images(data / kind)[:count]] for kind in ("content", "style")
    )
    return contents, styles


def test_the_grid_shows_every_content_in_every_style(
    data: Path, runs: Path, tmp_path: Path, drawn: list[Drawn]
) -> None:
    assert make("figure-12", data, tmp_path / "figures", "--runs", str(runs), "--rows", "2") == 0
    contents, styles = shown(data, 2)
    model = StyleTransfer.from_pretrained(runs / "paper" / "paper.safetensors", device="cpu", dtype="float32")
    (figure,) = drawn
    assert figure.rows[0][0] is None and all(map(torch.equal, figure.rows[0][1:], [style[0] for style in styles]))
    for content, row in zip(contents, figure.rows[1:], strict=True):
        expected = [content, *(model(content, style) for style in styles)]
        assert all(torch.equal(a, b[0]) for a, b in zip(row, expected, strict=True))


def test_normalizations_have_the_styles_that_they_learned(
    data: Path, runs: Path, tmp_path: Path, drawn: list[Drawn]
) -> None:
    assert make("section-2.1", data, tmp_path / "figures", "--runs", str(runs), "--rows", "4") == 0
    (figure,) = drawn
    assert figure.columns == ["content", "style", "batch", "instance", "conditional", "AdaIN"]
    assert all(differ(row) for row in figure.rows[:3])
    assert [row[4] is None for row in figure.rows] == [False, False, False, True]  # 3.png was never learned
    model = StyleTransfer.from_pretrained(
        runs / "norm-conditional" / "norm-conditional.safetensors", device="cpu", dtype="float32"
    )
    learned = StyleStats.load(runs / "norm-conditional" / "styles" / "1.png.safetensors")
    assert torch.equal(figure.rows[1][4], model(shown(data, 2)[0][1], learned)[0])
    model = StyleTransfer.from_pretrained(
        runs / "norm-instance" / "norm-instance.safetensors", device="cpu", dtype="float32"
    )
    learned = StyleStats.load(runs / "norm-instance" / "styles" / "norm-instance.safetensors")
    assert torch.equal(figure.rows[1][3], model(shown(data, 2)[0][1], learned)[0])


def test_gatys_stands_beside_adain_with_times_and_losses(
    data: Path, runs: Path, tmp_path: Path, drawn: list[Drawn]
) -> None:
    for name in ("figure-5", "figure-6"):
        assert make(name, data, tmp_path / "figures", "--runs", str(runs), "--iterations", "3", "9") == 0
    easy, hard = drawn
    styles = shown(data, 4)[1]
    assert torch.equal(easy.rows[0][1], styles[0][0]) and torch.equal(hard.rows[0][1], styles[-1][0])
    for figure in drawn:
        assert figure.columns == ["content", "style", "AdaIN", "Gatys, 3 iterations", "Gatys, 9 iterations"]
        assert len(figure.rows) == 1 and differ(figure.rows[0])
        (captions,) = figure.captions
        assert captions[:2] == ["", ""] and all(" s\ncontent " in caption for caption in captions[2:])


def test_pictures_are_large_where_no_other_size_is_asked_for(runs: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    options = ["--runs", str(runs), "--out", str(tmp_path), "--device", "cpu", "--rows", "1"]
    assert experiments.main(["figure-7", *options]) == 0
    assert [picture.shape[-1] for picture in drawn[0].rows[0]] == [512] * 4


def test_the_hard_style_is_found_among_the_examples(runs: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    options = ["--runs", str(runs), "--out", str(tmp_path), "--size", "32", "--device", "cpu", "--iterations", "1"]
    assert experiments.main(["figure-6", *options]) == 0
    (figure,) = drawn
    assert torch.equal(figure.rows[0][1], center_square(EXAMPLES / "style_woodcut.jpg", 32)[0])
    assert torch.equal(figure.rows[0][0], center_square(EXAMPLES / "photo_astronaut.jpg", 32)[0])


def test_style_weights_by_alphas(data: Path, runs: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    assert make("figure-8", data, tmp_path / "figures", "--runs", str(runs)) == 0
    (figure,) = drawn
    assert figure.labels == [f"style weight {n}" for n in (1, 5, 10, 20)] and len(figure.rows) == 4
    assert figure.columns == ["content", "style", "alpha 0", "alpha 0.25", "alpha 0.5", "alpha 0.75", "alpha 1"]
    assert all(map(differ, figure.rows))
    far = [(picture - figure.rows[0][2]).abs().mean() for picture in figure.rows[0][2:]]
    assert far == sorted(far)


def test_curves_are_those_of_the_logs(data: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: saved.append(figure))
    assert make("figure-9", data, tmp_path / "figures", "--runs", str(runs)) == 0
    lines = saved[0].axes[0].get_lines()
    assert [line.get_label() for line in lines] == [
        "plain: content", "plain: style", "pre-normalized: content", "pre-normalized: style"
    ]  # fmt: skip
    assert [line.get_linestyle() for line in lines] == ["--", "-", "--", "-"]
    assert len({line.get_color() for line in lines}) == 2
    losses = (runs / "pre-normalized" / "log.csv").read_text().split()[1:]
    assert list(lines[2].get_ydata()) == [float(line.split(",")[1]) for line in losses]
    assert list(lines[2].get_xdata()) == [1, 2, 3, 4]


def test_one_model_may_stand_for_the_studys(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], drawn: list[Drawn]
) -> None:
    assert make("figure-12", data, tmp_path, "--model", "lite", "--rows", "1") == 0
    (content,), (style,) = shown(data, 1)
    lite = StyleTransfer.from_pretrained("lite", device="cpu", dtype="float32")
    assert torch.equal(drawn[0].rows[1][1], lite(content, style)[0])
    assert make("figure-3", data, tmp_path, "--model", "lite") == 2
    assert "--model is for a figure of one model: figure-1, figure-5" in capsys.readouterr().err


def test_figures_of_embedded_models_need_no_run(data: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    for options in (["--embedded"], []):
        assert make("figure-4", data, tmp_path, *options, "--rows", "1", "--size", "64") == 0
    first, second = drawn
    assert first.columns[3:] == ["concat-content", "concat-style", "concat-both", "concat-content-adain"]
    assert differ(first.rows[0]) and all(map(torch.equal, first.rows[0], second.rows[0]))


def test_the_package_may_hold_everything(
    data: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[Drawn]
) -> None:
    package = tmp_path / "package"
    for run in runs.iterdir():
        name = "study-plain" if run.name == "paper" else f"study-{run.name}"
        shutil.copytree(run, package / "styles" / name)
        for style in (package / "styles" / name).glob("styles/*.safetensors"):
            style.rename(package / "styles" / name / style.name.replace("norm-instance", "study-norm-instance"))
        shutil.copy(run / f"{run.name}.safetensors", package / f"{name}.safetensors")
        shutil.copy(run / "log.csv", package / f"{name}.csv")
    monkeypatch.setattr(gallery, "EMBEDDED", package)
    monkeypatch.setattr(gallery, "LOGS", package)
    for name in ("section-2.1", "figure-2", "figure-9"):
        assert make(name, data, tmp_path / "figures", "--rows", "1") == 0
    normalizations, weights = drawn
    assert differ(normalizations.rows[0]) and differ(weights.rows[0])


def test_what_lacks_its_models_is_named_and_the_rest_is_made(
    data: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "pre-normalized" / "pre-normalized.safetensors").unlink()
    (runs / "add-both" / "log.csv").unlink()
    assert make("all", data, tmp_path / "figures", "--runs", str(runs), "--rows", "1") == 2
    err = capsys.readouterr().err
    assert "Not made: figure-7, figure-10, which lack pre-normalized, the log of add-both; train them" in err
    assert len(list((tmp_path / "figures").iterdir())) == 12
    assert make("figure-7", data, tmp_path / "none", "--runs", str(runs)) == 2
    assert "Not made: figure-7, which lack" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert make("figure-3", data, tmp_path / "one", "--runs", str(runs), "--rows", "1") == 0


def test_experiments_train_what_is_missing(data: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    tiny = [part for change in small_changes(data) for part in ("--set", change)]
    training = ["--train", "--train-content", str(data / "content"), "--train-style", str(data / "style")]
    places = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "figures"), "--rows", "2"]
    assert experiments.main(["section-2.1", *pictures(data), *places, *training, *tiny]) == 0
    (figure,) = drawn
    assert figure.columns == ["content", "style", "batch", "instance", "conditional", "AdaIN"]
    assert len(figure.rows) == 2 and all(map(differ, figure.rows))
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*.safetensors")}
    assert set(made) == {
        f"{recipe}.safetensors" for recipe in ("norm-batch", "norm-instance", "norm-conditional", "paper")
    }
    assert experiments.main(["section-2.1", *pictures(data), *places, *training, *tiny]) == 0
    assert made == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*.safetensors")}


def test_an_interrupted_training_is_not_followed_by_the_next(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [part for change in [*small_changes(data), "steps=2"] for part in ("--set", change)]
    training = ["--train", "--train-content", str(data / "content"), "--train-style", str(data / "style")]
    places = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "figures")]
    step = Trainer.step

    def interrupted(trainer: Trainer, *crops: object) -> None:
        step(trainer, *crops)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "step", interrupted)
    assert experiments.main(["section-2.1", *pictures(data), *places, *training, *few]) == 2
    assert "was interrupted; the same command goes on" in capsys.readouterr().err
    assert len(list((tmp_path / "runs").iterdir())) == 1
    (left,) = (tmp_path / "runs").glob("*/*.safetensors")
    assert not is_finished(left)
    monkeypatch.setattr(Trainer, "step", step)
    assert experiments.main(["section-2.1", *pictures(data), *places, *training, *few]) == 0
    assert is_finished(left)


def small_changes(data: Path) -> list[str]:
    networks = [f"{key}={data / 'loss.safetensors'}" for key in ("encoder", "loss_network")]
    return [
        *networks,
        "steps=1",
        "lr=0.01",
        "log_seconds=0",
        "size=40",
        "crop=32",
        "batch_size=2",
        "workers=0",
        "precision=float32",
    ]
