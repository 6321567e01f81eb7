"""What survives an interruption: the checkpoint and the log."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from adain_core.files import write_atomically

from .command import TrainingError

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(run: Path, state: Mapping[str, Any]) -> None:
    """Write RUN/checkpoint.pt; an earlier one stays whole until the new one is complete."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(run / CHECKPOINT, buffer.getvalue())


def load_checkpoint(run: Path, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read RUN/checkpoint.pt, or None where there is none.

    Raises:
        TrainingError: it was made with another recipe.
    """
    path = run / CHECKPOINT
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    changed = sorted(k for k in recipe if state["recipe"].get(k) != recipe[k])
    if changed:
        raise TrainingError(f"{path} was made with another recipe; these keys differ: {', '.join(changed)}.")
    return state


class Log:
    """A CSV file with one line per interval."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self.path = path
        self.columns = columns

    def append(self, row: Mapping[str, float]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})

    def forget_after(self, step: int) -> None:
        """Drop the lines after a step: what was computed between the last checkpoint and the interruption comes
        again."""
        if self.path.exists():
            header, *lines = self.path.read_text().splitlines()
            kept = [line for line in lines if int(line.split(",")[0]) <= step]
            write_atomically(self.path, ("\n".join([header, *kept]) + "\n").encode())
