"""What a run shows of itself: warnings and TensorBoard's records."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from adain_core.models.weights import Weights, load_weights, save_weights
from training.checkpoint import Log
from training.fit import Trainer, main

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
    arguments = fit_arguments(tmp_path, "steps=4", "log_every=1", "checkpoint_every=2")
    with monkeypatch.context() as patch, pytest.raises(Death):
        patch.setattr(Trainer, "step", step_or_die)
        main(arguments)
    assert main([*arguments, "--resume"]) == 0
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    for column in ("content", "style", "total", "lr", "grad_norm"):
        scalars = board.Scalars(column)
        assert [event.step for event in scalars] == [1, 2, 3, 4]
        assert [event.value for event in scalars] == pytest.approx([float(row[column]) for row in rows], rel=1e-5)


def test_a_log_of_other_columns_goes_on_under_the_present_ones(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,content,style,total,lr,grad_norm\n50,1.5,2.5,26.5,0.1,7\n100,1,2,21,0.1,6\n150,1,2")
    Log(path, ["step", "content", "style", "color", "total", "grad_norm", "lr"]).forget_after(50)
    assert path.read_text() == "step,content,style,color,total,grad_norm,lr\n50,1.5,2.5,,26.5,7,0.1\n"
