"""What a run shows of itself: warnings and TensorBoard's records."""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adain_core.models.weights import Weights, load_weights, save_weights
from tests.training.runs import read_log
from training.checkpoint import Log
from training.fit import OUT_OF_TIME, main
from training.trainer import Trainer

Arguments = Callable[..., list[str]]


def test_flat_samples_and_short_runs_are_warned_of(
    tmp_path: Path, fit_arguments: Arguments, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_arguments(tmp_path / "run", "steps=1")) == 0
    output = capsys.readouterr().err
    assert "far too few to learn" in output
    assert "flat" not in output
    weights = load_weights(tmp_path / "run" / "run.safetensors")
    for parameter in weights.decoder.parameters():
        parameter.zero_()
    save_weights(Weights(weights.space, decoder=weights.decoder), tmp_path / "gray.safetensors")
    start = f"start={tmp_path / 'gray.safetensors'}"
    assert main(fit_arguments(tmp_path / "gray", start, "steps=1", "lr=0")) == 0
    assert "samples are flat" in capsys.readouterr().err


def test_tensorboard_has_what_the_log_has_after_a_run_died(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class Death(Exception):
        """Nobody catches it."""

    def step_or_die(self: Trainer, *batch: object) -> None:
        if self.done == 3:
            raise Death
        original(self, *batch)

    original = Trainer.step
    arguments = fit_arguments(tmp_path, "steps=4", "checkpoint_seconds=0")
    with monkeypatch.context() as patch, pytest.raises(Death):
        patch.setattr(Trainer, "step", step_or_die)
        main(arguments)
    time.sleep(1)  # the order of its files follows from the second in their names
    assert main([*arguments, "--resume"]) == 0
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    for column in ("content", "style", "total", "lr", "grad_norm"):
        scalars = board.Scalars(column)
        assert [event.step for event in scalars] == [1, 2, 3, 4]
        assert [event.value for event in scalars] == pytest.approx([float(row[column]) for row in rows], rel=1e-5)


def test_each_line_has_the_time_that_is_left(
    tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_arguments(tmp_path / "run", "steps=3")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert [line.split(",")[0] for line in lines] == ["step 1 of 3", "step 2 of 3", "step 3 of 3"]
    assert all(re.match(r"step \d of 3, \d+ (s|min) left: content ", line) for line in lines)
    assert "0 s left" in lines[-1]


def test_weights_and_biases_has_the_same_run_after_a_break(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = fit_arguments(tmp_path / "run", "steps=2", options=("--wandb", "styles", "--resume"))
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(arguments) == 2
    assert "--wandb needs the package wandb" in capsys.readouterr().err
    service = Service()
    monkeypatch.setitem(sys.modules, "wandb", service)
    assert main([*arguments, "--minutes", "0"]) == OUT_OF_TIME
    assert main(arguments) == 0
    first, second = service.opened
    assert first["id"] == second["id"] and first["config"]["steps"] == 2
    assert (first["project"], first["name"]) == ("styles", "run")
    totals = {step: values["total"] for values, step in service.logged if "total" in values}
    assert totals == {row["step"]: pytest.approx(row["total"], rel=1e-5) for row in read_log(tmp_path / "run")}
    assert sum("samples" in values for values, _ in service.logged) == 2
    assert service.finished == 2


class Service(ModuleType):
    """Stands for the package wandb, whose service is out of reach."""

    errors = SimpleNamespace(Error=RuntimeError)

    def __init__(self) -> None:
        super().__init__("wandb")
        self.opened: list[dict[str, Any]] = []
        self.logged: list[tuple[dict[str, Any], int]] = []
        self.finished = 0

    def init(self, **options: Any) -> Service:
        self.opened.append(options)
        return self

    def log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((values, step))

    def Image(self, pixels: np.ndarray) -> np.ndarray:
        assert pixels.shape[2] == 3 and 0 <= pixels.min() <= pixels.max() <= 1
        return pixels

    def finish(self) -> None:
        self.finished += 1


def test_a_log_of_other_columns_goes_on_under_the_present_ones(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,content,style,total,lr,grad_norm\n50,1.5,2.5,26.5,0.1,7\n100,1,2,21,0.1,6\n150,1,2")
    Log(path, ["step", "content", "style", "color", "total", "grad_norm", "lr"]).forget_after(50)
    assert path.read_text() == "step,content,style,color,total,grad_norm,lr\n50,1.5,2.5,,26.5,7,0.1\n"
