"""Where a run can be watched from elsewhere: TensorBoard, and Weights & Biases for those who ask for it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from .command import TrainingError
from .recipe import Recipe


class Board(Protocol):
    """What records scalars and pictures of a run."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers by their names."""

    def picture(self, picture: Tensor, step: int) -> None:
        """Record a picture [3, H, W] in 0..1."""

    def close(self) -> None:
        """Write what is left."""


class TensorBoard:
    """RUN/tensorboard, without what an interrupted run wrote after its last checkpoint.

    Args:
        run: the run's folder.
        first: the step that it goes on at.

    Raises:
        ImportError: the package is not installed.
    """

    def __init__(self, run: Path, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(run / "tensorboard"), purge_step=first + 1)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()  # a killed run does not write what was recorded before its last checkpoint again

    def picture(self, picture: Tensor, step: int) -> None:
        self.writer.add_image("samples", picture, step)

    def close(self) -> None:
        self.writer.close()


class WeightsAndBiases:
    """A run at Weights & Biases, with its files in RUN/wandb; a run that goes on is the same one there.

    Args:
        run: the run's folder.
        recipe: recorded with it.
        project: at Weights & Biases.

    Raises:
        TrainingError: the package is not installed, or does not get through.
    """

    def __init__(self, run: Path, recipe: Recipe, project: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise TrainingError("--wandb needs the package wandb: pip install wandb.") from error
        self._image: Any = wandb.Image
        folder = run / "wandb"
        folder.mkdir(exist_ok=True)
        identity = folder / "id.txt"
        if not identity.exists():
            identity.write_text(secrets.token_hex(8))
        try:
            self.run = wandb.init(
                project=project,
                name=run.resolve().name,
                id=identity.read_text(),
                resume="allow",
                dir=str(run),
                config=recipe.model_dump(mode="json"),
            )
        except wandb.errors.Error as error:
            raise TrainingError(f"--wandb {project}: {error}") from error

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def picture(self, picture: Tensor, step: int) -> None:
        self.run.log({"samples": self._image(picture.permute(1, 2, 0).numpy())}, step=step)

    def close(self) -> None:
        self.run.finish()


def open_boards(run: Path, recipe: Recipe, first: int, project: str | None) -> list[Board]:
    """TensorBoard where it is installed, and Weights & Biases where a project is named."""
    boards: list[Board] = []
    with suppress(ImportError):
        boards.append(TensorBoard(run, first))
    if project:
        boards.append(WeightsAndBiases(run, recipe, project))
    return boards
