"""The pack inside a fake ComfyUI, under a folder name of the test's choosing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.nodes.fake import FAKE, PACK, import_pack, start
from tests.nodes.models import load, save_model


@pytest.fixture(scope="session")
def pack() -> Iterator[ModuleType]:
    """The pack, imported beside the fake."""
    before = set(sys.modules)
    sys.path.insert(0, str(FAKE))
    yield import_pack()
    sys.path.remove(str(FAKE))
    for name in set(sys.modules) - before:
        if name.startswith((PACK, "comfy", "folder_paths", "core_nodes", "execution", "server", "aiohttp")):
            del sys.modules[name]


@pytest.fixture
def comfy(pack: ModuleType, tmp_path: Path) -> Any:
    """A server with nothing in its folders and caches."""
    return start(pack, tmp_path)


@pytest.fixture
def tiny(comfy: Any) -> Any:
    """A small model of random weights, as the loader gives it."""
    return load(comfy, save_model("tiny.safetensors"))
