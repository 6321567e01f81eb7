"""The pack inside a fake ComfyUI, under a folder name of the test's choosing."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers import ROOT
from tests.nodes.models import load, save_model

FAKE = ROOT / "tests" / "fake_comfyui"
PACK = "/somewhere/custom_nodes/any folder_x_name"


def import_pack() -> ModuleType:
    """Import the repository as ComfyUI imports a custom node: as a package named after its path."""
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pack() -> Iterator[ModuleType]:
    """The pack, imported beside the fake."""
    before = set(sys.modules)
    sys.path.insert(0, str(FAKE))
    yield import_pack()
    sys.path.remove(str(FAKE))
    for name in set(sys.modules) - before:
        if name.startswith((PACK, "comfy", "folder_paths", "core_nodes", "execution")):
            del sys.modules[name]


@pytest.fixture
def comfy(pack: ModuleType, tmp_path: Path) -> Any:
    """A server with fresh folders, the pack's nodes and the core nodes, and nothing in any cache."""
    import comfy.model_management
    import comfy.utils
    import core_nodes
    import execution
    import folder_paths

    folder_paths.use(tmp_path)
    comfy.model_management.loaded.clear()
    comfy.model_management.stop_after = None
    comfy.utils.bars.clear()
    extension = asyncio.run(pack.comfy_entrypoint())
    nodes = [*asyncio.run(extension.get_node_list()), *core_nodes.NODES]
    return execution.Server({node.define_schema().node_id: node for node in nodes})


@pytest.fixture
def tiny(comfy: Any) -> Any:
    """A small model of random weights, as the loader gives it."""
    return load(comfy, save_model("tiny.safetensors"))
