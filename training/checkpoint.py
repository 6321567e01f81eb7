"""What survives an interruption: the checkpoint and the log."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from adain_core.models.checkpoint import load_plain_values
from adain_core.models.errors import WeightsError
from adain_core.runtime.files import write_atomically

from .command import TrainingError
from .recipe import Recipe

CHECKPOINT = "checkpoint.pt"
_KEYS = {"step", "recipe", "stylizer", "optimizer", "average"}
_KINDS = {"step": int, "recipe": dict, "bfloat16": bool, "interval": dict}


def save_checkpoint(run: Path, state: Mapping[str, Any]) -> None:
    """Write RUN/checkpoint.pt; an earlier one stays whole until the new one is complete."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(run / CHECKPOINT, buffer.getvalue())


def load_checkpoint(run: Path, recipe: Recipe, processes: int) -> dict[str, Any] | None:
    """Read RUN/checkpoint.pt, or None where there is none.

    Raises:
        TrainingError: it is damaged, or was made with another recipe or number of processes.
    """
    path = run / CHECKPOINT
    for unfinished in run.glob(f".{path.stem}.*.part{path.suffix}"):  # what a killed run was writing
        unfinished.unlink(missing_ok=True)
    if not path.exists():
        return None
    state = _read(path)
    # A key that is younger than the checkpoint has had its default value.
    before = {**Recipe().model_dump(mode="json"), **state["recipe"]}
    changed = sorted(key for key, value in recipe.curve().items() if before[key] != value)
    if changed:
        theirs = ", ".join(f"{key} = {before[key]!r}" for key in changed)
        raise TrainingError(
            f"{path} was made with another recipe ({theirs}); go on with that one, or start in another folder."
        )
    if not 0 <= state["step"] <= recipe.steps:
        raise TrainingError(f"{path} is at step {state['step']} of {recipe.steps}; start in another folder.")
    if state.get("processes", 1) != processes:
        raise TrainingError(f"{path} was made by {state['processes']} processes, not {processes}; use as many again.")
    return state


def is_finished(result: Path) -> bool:
    """Whether a run's result exists, and is not that of a run which was left before its last step.

    Raises:
        TrainingError: the run's checkpoint is damaged.
    """
    path = result.parent / CHECKPOINT
    if not (result.exists() and path.exists()):
        return result.exists()
    state = _read(path)
    return state["step"] >= state["recipe"].get("steps", 0)


def _read(path: Path) -> dict[str, Any]:
    try:
        state = load_plain_values(path)
    except WeightsError as error:
        raise TrainingError(f"{error} Start again in another folder.") from error
    if (
        not isinstance(state, dict)
        or not state.keys() >= _KEYS
        or not all(isinstance(state.get(key, kind()), kind) for key, kind in _KINDS.items())
    ):
        raise TrainingError(f"{path} is no checkpoint of a training run; start in another folder.")
    return state


class Log:
    """A CSV file with one line per interval."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self.path = path
        self.columns = columns

    def append(self, row: Mapping[str, float]) -> None:
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})

    def forget_after(self, step: int) -> None:
        """Begin the file, or drop the lines after a step and one that an interruption cut short: what was computed
        between the last checkpoint and the interruption comes again.

        Raises:
            TrainingError: the file is no log.
        """
        buffer = io.StringIO()
        # An earlier version may have had other columns.
        writer = csv.DictWriter(buffer, self.columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        try:
            text = self.path.read_text() if self.path.exists() else ""
            whole = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
            writer.writerows(row for row in whole if row["step"].isdecimal() and int(row["step"]) <= step)
        except (csv.Error, KeyError, AttributeError, ValueError) as error:  # such as a missing column or cell
            raise TrainingError(f"{self.path} is damaged ({error}); move it away to go on without it.") from error
        write_atomically(self.path, buffer.getvalue().encode())
