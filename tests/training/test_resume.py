"""Runs that are left, killed or refused, and what goes on from them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.helpers import ROOT, files_of_at_most, posix
from tests.training.runs import assert_same_run, read_log
from training.fit import INTERRUPTED, OUT_OF_TIME, main
from training.trainer import Trainer

Arguments = Callable[..., list[str]]


def leave_at(monkeypatch: pytest.MonkeyPatch, step: int, number: signal.Signals = signal.SIGINT) -> None:
    """Send a signal to the workers and to this process during a step."""
    original = Trainer.step

    def step_and_interrupt(self: Trainer, *batch: object) -> None:
        original(self, *batch)
        if self.done == step:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, number)
            time.sleep(0.2)
            signal.raise_signal(number)

    monkeypatch.setattr(Trainer, "step", step_and_interrupt)


@posix
@pytest.mark.parametrize(("moment", "optimizer"), [("between checkpoints", "soap"), ("during a checkpoint", "adam")])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    moment: str, optimizer: str, tmp_path: Path, fit_arguments: Arguments
) -> None:
    # SOAP looks for new eigenvectors every ten steps.
    changes = ("steps=13", f"optimizer={optimizer}", "checkpoint_seconds=0", "ema=0.9", "workers=1")
    script = tmp_path / "killed.py"
    script.write_text(KILL_BETWEEN if moment == "between checkpoints" else KILL_DURING)
    arguments = fit_arguments(tmp_path / "killed" / "run", *changes)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, script, *arguments], env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    step = torch.load(tmp_path / "killed" / "run" / "checkpoint.pt", weights_only=True)["step"]
    assert step == (5 if moment == "between checkpoints" else 1)
    assert main([*arguments, "--resume"]) == 0
    assert main(fit_arguments(tmp_path / "whole" / "run", *changes)) == 0
    assert_same_run(tmp_path / "killed" / "run", tmp_path / "whole" / "run")
    assert not list((tmp_path / "killed" / "run").glob(".checkpoint*"))


KILL_BETWEEN = """
import os, signal, sys
from training.fit import main
from training.trainer import Trainer
step = Trainer.step
def step_and_die(self, *batch):
    if self.done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, *batch)
Trainer.step = step_and_die
main(sys.argv[1:])
"""
KILL_DURING = """
import os, signal, sys
from training.fit import main
replace, calls = os.replace, []
def replace_or_die(source, target):
    if str(target).endswith("checkpoint.pt"):
        calls.append(target)
        if len(calls) == 2:
            os.truncate(source, 1000)
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replace_or_die
main(sys.argv[1:])
"""


def test_ctrl_c_saves_and_leaves(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, changes = tmp_path / "cut" / "run", ("steps=5", "workers=1", "log_seconds=1000", "held_out=1")
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        leave_at(patch, step=3)
        assert main(fit_arguments(run, *changes)) == INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is before
    assert "Saved at step 3 of 5" in capsys.readouterr().err
    assert [row["step"] for row in read_log(run)] == [3]
    assert {"curves.png", "samples.png", "validation.csv"} <= {path.name for path in run.iterdir()}
    assert main(fit_arguments(run, *changes, options=("--resume",))) == 0
    assert main(fit_arguments(tmp_path / "whole" / "run", *changes)) == 0
    weights, expected = (torch.load(path / "checkpoint.pt")["stylizer"] for path in (run, tmp_path / "whole" / "run"))
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


@posix
def test_a_batch_system_that_ends_every_process_gets_a_checkpoint(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_at(monkeypatch, 2, signal.SIGTERM)
    assert main(fit_arguments(tmp_path, "steps=1000", "workers=1")) == INTERRUPTED
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


def test_a_deadline_saves_and_leaves(tmp_path: Path, fit_arguments: Arguments) -> None:
    assert main(fit_arguments(tmp_path, "steps=1000000", options=("--minutes", "0"))) == OUT_OF_TIME
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 1


def test_a_finished_run_says_so(tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = fit_arguments(tmp_path / "run", "steps=1")
    assert main([*arguments, "--resume"]) == 0
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    assert main([*arguments, "--resume"]) == 0
    assert "is finished" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_a_run_goes_on_with_the_images_that_it_began_with(
    data: Path, tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    styles = tmp_path / "styles"
    shutil.copytree(data / "style", styles)
    arguments = [*fit_arguments(tmp_path / "run", options=("--resume",)), "--style", str(styles)]
    assert main([*arguments, "--minutes", "0"]) == OUT_OF_TIME
    first = min(styles.iterdir())
    first.rename(styles / "zebra.png")
    assert main([*arguments, "--minutes", "0"]) == OUT_OF_TIME
    shutil.copy(data / "content" / "0.png", styles / "1.png")
    assert main(arguments) == 2
    assert "holds other images than when" in capsys.readouterr().err
    shutil.copy(data / "style" / "1.png", styles / "1.png")
    assert main(arguments) == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"step": "2"}, "is no checkpoint"),
        ({"step": None}, "is no checkpoint"),
        ({"interval": "none"}, "is no checkpoint"),
        ({"bfloat16": "no"}, "is no checkpoint"),
        ({"step": -1}, "is at step -1 of 3"),
        ({"step": 10**18}, "is at step 1000000000000000000 of 3"),
        ({"stylizer": {}}, "does not fit these networks"),
    ],
)
def test_a_checkpoint_that_says_what_cannot_be_is_refused(
    tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str], change: dict, expected: str
) -> None:
    arguments = fit_arguments(tmp_path / "run", "steps=3", options=("--resume",))
    assert main([*arguments, "--minutes", "0"]) == OUT_OF_TIME
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    torch.save(state | change, tmp_path / "run" / "checkpoint.pt")
    capsys.readouterr()
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert f"checkpoint.pt {expected}" in message and message.count("\n") == 1


@pytest.mark.parametrize(
    "content", [b"\xff\n", b"1,2\n3,4\n", b"content,step\n5\n", b"step\n" + b"1" * 200_000 + b"\n"]
)
def test_a_log_that_is_none_is_refused(
    tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    arguments = fit_arguments(tmp_path / "run", "steps=3", options=("--resume",))
    assert main([*arguments, "--minutes", "0"]) == OUT_OF_TIME
    (tmp_path / "run" / "log.csv").write_bytes(content)
    capsys.readouterr()
    assert main(arguments) == 2
    assert f"{tmp_path / 'run' / 'log.csv'} is damaged" in capsys.readouterr().err
    assert (tmp_path / "run" / "log.csv").read_bytes() == content


def test_two_trainings_never_share_a_folder(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = fit_arguments(tmp_path / "run", "steps=2", options=("--resume",))
    codes: list[int] = []
    original = Trainer.step

    def step_while_another_tries(self: Trainer, *batch: object) -> None:
        second = subprocess.run(
            [sys.executable, "-m", "training.fit", *arguments], cwd=ROOT, capture_output=True, text=True
        )
        codes.append(second.returncode)
        assert "Another training works in" in second.stderr and second.stderr.count("\n") == 1
        original(self, *batch)

    monkeypatch.setattr(Trainer, "step", step_while_another_tries)
    assert main(arguments) == 0
    assert codes == [2, 2]


def test_a_full_disk_costs_no_checkpoint(
    tmp_path: Path, fit_arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = fit_arguments(tmp_path / "run", options=("--resume",))
    with monkeypatch.context() as patch:
        leave_at(patch, step=3)
        assert main(arguments) == INTERRUPTED
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    with files_of_at_most(len(before) // 2):
        assert main(arguments) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    assert main(arguments) == 0


def test_a_resume_from_another_recipe_is_refused(
    tmp_path: Path, fit_arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_arguments(tmp_path / "run", "steps=1")) == 0
    assert main(fit_arguments(tmp_path / "run", "steps=2", "style_weight=5", options=("--resume",))) == 2
    error = capsys.readouterr().err
    assert "steps = 1" in error
    assert "style_weight = 10.0" in error
    # What the curve does not depend on may change.
    assert main(fit_arguments(tmp_path / "run", "steps=1", "checkpoint_seconds=7", options=("--resume",))) == 0
