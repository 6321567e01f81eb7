"""Starts the fake ComfyUI with the pack in it."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.helpers import ROOT

FAKE = ROOT / "tests" / "fake_comfyui"
PACK = "/somewhere/custom_nodes/any folder_x_name"


def import_pack() -> ModuleType:
    """Import the repository as ComfyUI imports a custom node: as a package named after its path."""
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = module
    spec.loader.exec_module(module)
    return module


def start(pack: ModuleType, base: Path) -> Any:
    """A server with fresh folders below ``base``, the pack's nodes and the core nodes, and nothing in any cache."""
    import comfy.model_management
    import comfy.utils
    import core_nodes
    import execution
    import folder_paths

    folder_paths.use(base)
    comfy.model_management.loaded.clear()
    comfy.model_management.required.clear()
    comfy.model_management.stop_after = None
    comfy.utils.bars.clear()
    extension = asyncio.run(pack.comfy_entrypoint())
    nodes = [*asyncio.run(extension.get_node_list()), *core_nodes.NODES]
    return execution.Server({node.define_schema().node_id: node for node in nodes})
