"""Images and a loss network for small training runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adain_core.images.files import write_picture
from adain_core.images.pictures import Picture
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, save_weights
from adain_core.networks.encoder import Encoder
from tests.helpers import TINY_WIDTHS, random_picture
from training import fit
from training.networks import initialize


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with content/ (5 images), style/ (4 images) and loss.safetensors, a small random loss network."""
    folder = tmp_path_factory.mktemp("data")
    for seed, (name, count) in enumerate((("content", 5), ("style", 4))):
        for i in range(count):
            picture = random_picture(64 + 3 * i, 70, seed=10 * seed + i)
            write_picture(Picture(picture), folder / name / f"{i}.png")
    torch.manual_seed(0)
    encoder = Encoder(TINY_WIDTHS)
    initialize(encoder)
    save_weights(Weights(space_of("loss", encoder), encoder), folder / "loss.safetensors", torch.float32)
    return folder


@pytest.fixture
def fit_arguments(data: Path) -> Callable[..., list[str]]:
    """Arguments of training.fit for a run of a few small steps, with ``key=value`` changes."""

    def arguments(out: Path, *changes: str, recipe: str = "paper", options: tuple[str, ...] = ()) -> list[str]:
        small = ["size=[40,64]", "crop=32", "batch_size=2", "steps=6", "log_every=2", "workers=0", "pool=0"]
        small.append("precision=float32")
        networks = [f"{key}={data / 'loss.safetensors'}" for key in ("encoder", "loss_network")]
        settings = [part for change in (*small, *networks, *changes) for part in ("--set", change)]
        folders = ["--content", str(data / "content"), "--style", str(data / "style"), "--out", str(out)]
        return [*folders, "--recipe", recipe, "--device", "cpu", *settings, *options]

    return arguments


@pytest.fixture
def run(tmp_path: Path, fit_arguments: Callable[..., list[str]]) -> Path:
    """A finished training run of one step."""
    assert fit.main(fit_arguments(tmp_path / "runs" / "paper", "steps=1", "log_every=1")) == 0
    return tmp_path / "runs" / "paper"
