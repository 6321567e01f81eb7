"""Images and a loss network for small training runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adain_core.images.files import write_picture
from adain_core.images.pictures import Picture
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, load_weights, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.networks.skips import Skips
from adain_core.styles.stats import StyleStats
from tests.helpers import TINY_WIDTHS, random_picture
from training import fit
from training.experiments import FIGURES
from training.gallery import recipe_of
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
        small = ["size=[40,64]", "crop=32", "batch_size=2", "steps=6", "log_seconds=0", "workers=0", "pool=0"]
        small.append("precision=float32")
        networks = [f"{key}={data / 'loss.safetensors'}" for key in ("encoder", "loss_network")]
        settings = [part for change in (*small, *networks, *changes) for part in ("--set", change)]
        folders = ["--content", str(data / "content"), "--style", str(data / "style"), "--out", str(out)]
        return [*folders, "--recipe", recipe, "--device", "cpu", *settings, *options]

    return arguments


@pytest.fixture
def run(tmp_path: Path, fit_arguments: Callable[..., list[str]]) -> Path:
    """A finished training run of one step."""
    assert fit.main(fit_arguments(tmp_path / "runs" / "paper", "steps=1")) == 0
    return tmp_path / "runs" / "paper"


@pytest.fixture
def runs(data: Path, run: Path) -> Path:
    """A folder of runs that has every model of the study, each of other random weights, and the log of a training."""
    models = dict.fromkeys(model for figure in FIGURES.values() for model in figure.models.values())
    space = load_weights(data / "loss.safetensors").space
    for seed, name in enumerate(models):
        folder = run.parent / recipe_of(name)
        folder.mkdir(exist_ok=True)
        torch.manual_seed(seed)
        decoder = Decoder(
            TINY_WIDTHS, Skips.parse(name if name.startswith(("add", "concat")) else "plain"), name == "norm-batch"
        )
        initialize(decoder)
        encoder = load_weights(data / "loss.safetensors").encoder
        save_weights(Weights(space, encoder, decoder), folder / f"{recipe_of(name)}.safetensors")
        lines = [f"{step},{(9 + seed) / step},{5 / step}" for step in range(1, 5)]
        (folder / "log.csv").write_text("\n".join(["step,content,style", *lines, ""]))
    for i, name in enumerate(["norm-instance", *(f"{i}.png" for i in (0, 1, 2))]):
        folder = run.parent / ("norm-conditional" if i else name) / "styles"
        shape = (1, TINY_WIDTHS[3], 1, 1)
        style = StyleStats({"relu4_1": torch.full(shape, 0.1 * i)}, {"relu4_1": torch.ones(shape)}, space)
        style.save(folder / f"{name}.safetensors")
    return run.parent
