"""What a run needs is said, or refused, before it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training.fit import main
from training.forecast import announce
from training.recipe import RECIPES, Recipe

Arguments = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        (("batch_size=1000000000",), "smaller batch_size or crop"),
        (("crop=8000000",), "smaller batch_size or crop"),
        (("train_encoder=true", "widths=4096"), "smaller widths"),
        (("cache_gb=1e30", "size=16000"), "smaller cache_gb"),
        (("cache_gb=0", "size=60000"), "smaller size"),
        (("pool=1000000000",), "smaller pool"),
        (("workers=256", "batch_size=4096", "crop=512"), "smaller batch_size or"),
    ],
)
def test_what_exceeds_the_memory_is_refused_at_once(
    changes: tuple[str, ...],
    advice: str,
    tmp_path: Path,
    fit_arguments: Arguments,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("training.forecast.available_memory", lambda device: 4 * 2**30)
    assert main(fit_arguments(tmp_path / "run", *changes)) == 2
    error = capsys.readouterr().err
    assert advice in error and "4.0 GB are free" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_that_fits_is_not_refused(tmp_path: Path, fit_arguments: Arguments) -> None:
    assert main(fit_arguments(tmp_path / "run", "steps=1", "cache_gb=0.5")) == 0


def test_the_time_is_said_before_the_first_step(
    tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_arguments(tmp_path / "run", "steps=2")) == 0
    lines = capsys.readouterr().err.splitlines()
    said = next(i for i, line in enumerate(lines) if "take about" in line)
    assert lines[said].startswith("2 steps of 2 pairs take about") and lines[said].endswith("here.")
    assert said < next(i for i, line in enumerate(lines) if line.startswith("step 1 of 2"))


def test_a_long_run_names_a_shorter_one(capsys: pytest.CaptureFixture[str]) -> None:
    announce(Recipe(), step=0, seconds=2.0, minutes=30)
    text = capsys.readouterr().err
    assert "150,000 steps of 8 pairs take about 3 days here" in text
    assert "After 30 minutes the run will be at step 900" in text
    assert "--recipe laptop" in text and "--set steps=1800 for an hour" in text
    assert (RECIPES / "laptop.toml").exists()
    announce(Recipe(steps=100), step=50, seconds=2.0, minutes=30)
    assert capsys.readouterr().err == "50 steps of 8 pairs take about 100 s here.\n"
