"""Held-out pairs: measured, not learned from, and what did best on them is kept."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training import trainer
from training.fit import OUT_OF_TIME, main
from training.networks import LossNetwork, Stylizer
from training.validation import HeldOut

Arguments = Callable[..., list[str]]


def validations(run: Path) -> list[dict[str, float]]:
    with (run / "validation.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_the_weights_that_did_best_are_kept(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    totals = iter([5.0, 3.0, 4.0])
    weights: list[torch.Tensor] = []
    measure = HeldOut.measure

    def with_a_total(self: HeldOut, stylizer: Stylizer, loss_network: LossNetwork) -> tuple[dict[str, float], bool]:
        weights.append(stylizer.decoder.conv1_1.weight.detach().half())
        best = self.best
        losses = {**measure(self, stylizer, loss_network)[0], "total": next(totals)}
        self.best = min(best, losses["total"])
        return losses, losses["total"] < best

    monkeypatch.setattr(HeldOut, "measure", with_a_total)
    assert main(fit_arguments(run, "steps=3", "lr=1e-2", "sample_seconds=0", "held_out=1")) == 0
    assert [(row["step"], row["total"]) for row in validations(run)] == [(1, 5), (2, 3), (3, 4)]
    for name, expected in (("run-best", weights[1]), ("run", weights[2])):
        assert torch.equal(load_file(run / f"{name}.safetensors")["decoder.conv1_1.weight"], expected)
    assert not torch.equal(weights[1], weights[2])


def test_losses_of_held_out_pairs_fall_and_the_best_stands_over_a_break(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    arguments = fit_arguments(run, "steps=12", "lr=1e-2", "sample_seconds=0", "held_out=2", "ema=0.5")
    step = trainer.Trainer.step

    def step_until_four(self: trainer.Trainer, *batch: object) -> None:
        step(self, *batch)
        if self.done == 4:
            self.deadline = 0.0

    monkeypatch.setattr(trainer.Trainer, "step", step_until_four)
    assert main(arguments) == OUT_OF_TIME
    monkeypatch.setattr(trainer.Trainer, "step", step)
    best = torch.load(run / "checkpoint.pt", weights_only=True)["best"]
    rows = validations(run)
    assert best == pytest.approx(min(row["total"] for row in rows), rel=1e-5)
    assert main([*arguments, "--resume"]) == 0
    rows = validations(run)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[-1]["total"] < 0.8 * rows[0]["total"]
    assert all(row["total"] == pytest.approx(row["content"] + 10 * row["style"], rel=1e-4) for row in rows)


def test_more_held_out_than_there_are_is_refused(
    tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_arguments(tmp_path / "run", "held_out=4")) == 2
    assert "has 4 images; expected fewer" in capsys.readouterr().err
    assert main(fit_arguments(tmp_path / "run", "held_out=1", recipe="norm-conditional")) == 2
    assert "nothing unless AdaIN normalizes" in capsys.readouterr().err
