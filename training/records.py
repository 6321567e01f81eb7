"""What an evaluation has measured, pair by pair, in a file that an interrupted one goes on from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from adain_core.runtime.files import write_atomically

from .command import TrainingError

Row = dict[str, float | None]


class Records:
    """Numbers of pairs, by the model's label and the pair's name.

    Args:
        folder: whose pairs.csv holds them, and settings.json what they were measured with; None keeps them in memory.
        settings: what the numbers depend on beside the pair. What several evaluations in one folder have in common must
            be equal; keys that one of them alone has (of other models) are added.
        columns: the names of the numbers.

    Raises:
        TrainingError: the folder has numbers of other settings, or damaged ones.
    """

    def __init__(self, folder: Path | None, settings: Mapping[str, str], columns: Sequence[str]) -> None:
        self._path = folder and folder / "pairs.csv"
        self._header = ["model", "pair", *columns]
        self._rows: dict[tuple[str, str], Row] = {}
        if folder and self._path:
            self._take_up(folder / "settings.json", dict(settings))
            self._read(self._path)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._rows

    def __getitem__(self, key: tuple[str, str]) -> Row:
        return self._rows[key]

    def add(self, label: str, pair: str, row: Row) -> None:
        """Keep the numbers of a pair."""
        self._rows[label, pair] = row
        if self._path:
            with self._path.open("a", newline="") as file:
                values = ["" if row[column] is None else f"{row[column]:.9g}" for column in self._header[2:]]
                csv.writer(file, lineterminator="\n").writerow([label, pair, *values])

    def _take_up(self, path: Path, settings: dict[str, str]) -> None:
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
        except (ValueError, TypeError) as error:
            raise TrainingError(f"{path} is damaged ({error}); name another folder for this evaluation.") from error
        changed = [key for key in before.keys() & settings.keys() if before[key] != settings[key]]
        if changed:
            theirs = ", ".join(f"{key} = {before[key]}" for key in sorted(changed))
            raise TrainingError(f"{path.parent} holds an evaluation with {theirs}; name another folder for this one.")
        write_atomically(path, json.dumps(before | settings, indent=2).encode())

    def _read(self, path: Path) -> None:
        """Begin the file, or take what it holds; a line that an interruption cut short is dropped."""
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            lines = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))
            kept = [line for line in lines[1:] if lines[0] == self._header]
            for label, pair, *values in kept:
                numbers = [float(value) if value else None for value in values]
                self._rows[label, pair] = dict(zip(self._header[2:], numbers, strict=True))
        except (csv.Error, ValueError) as error:
            raise TrainingError(f"{path} is damaged ({error}); name another folder for this evaluation.") from error
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([self._header, *kept])
        write_atomically(path, buffer.getvalue().encode())
