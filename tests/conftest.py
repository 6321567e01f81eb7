"""Fixtures that the tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch

from adain_core.pipeline.transfer import StyleTransfer
from tests.helpers import ROOT, SHARED, tiny_model
from tests.hub_server import Hub, serve


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="where the numeric tests compute: cpu (default), cuda, mps")
    parser.addoption("--soak", type=int, default=6, help="how many pictures of all sizes the tests of memory stylize")
    parser.addoption("--fuzz-seconds", type=float, default=15, help="how long tests/fuzz goes on, all together")
    parser.addoption("--fuzz-seed", type=int, default=0, help="which cases tests/fuzz tries")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs CUDA"))


@pytest.fixture
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where numeric tests compute."""
    return torch.device(request.config.getoption("--device"))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def examples() -> Path:
    """The example pictures of the repository."""
    return ROOT / "workflows" / "examples"


@pytest.fixture
def reference() -> Path:
    """Reference weights for comparison, which are not part of the repository."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip("the reference weights are not on this machine")
    return folder


@pytest.fixture
def model() -> StyleTransfer:
    return tiny_model()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that huggingface_hub talks to, with an empty cache."""
    hub = Hub()
    server = serve(hub)
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    # Before version 1 huggingface_hub's modules had copies of the constants.
    for module in (constants, huggingface_hub.file_download):
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache" / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "cache" / "assets"))
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    for name in ("ADAIN_OFFLINE", "ADAIN_MODELS", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield hub
    server.shutdown()
    server.server_close()
