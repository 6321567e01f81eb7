"""The rooms of the house: imports run one way, and nothing goes in a circle.

Every import counts, under ``TYPE_CHECKING`` and inside functions too.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter

import pytest

from tests.helpers import ROOT

# From the ground up: a room imports from its own floor and from those below it.
FLOORS = [
    {"runtime"},
    {"images", "networks"},
    {"styles", "models"},
    {"options"},
    {"pipeline"},
    {"films", "gatys", "measure"},
    {"cli"},
]
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# The package's own front: the public names, and `python -m adain_core`.
FRONT = {"__init__", "__main__", "public"}
PACKAGES = ("adain_core", "nodes", "training")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
}


def imports_of(module: str) -> Iterator[str]:
    """The modules of this repository that a module imports, and top-level names of any other."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if inner in MODULES else source


GRAPH = {module: set(imports_of(module)) for module in MODULES}
CORE = {module: imports for module, imports in GRAPH.items() if module.split(".")[0] == "adain_core"}


def room_of(module: str) -> str:
    """The room of adain_core that a module of it is in, or the module itself at the top."""
    return [*module.split("."), "__init__"][1]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_files_import_each_other_in_a_circle(package):
    inside = {m: imports & MODULES.keys() for m, imports in GRAPH.items() if m.split(".")[0] == package}
    TopologicalSorter(inside).prepare()


def test_no_rooms_import_each_other_in_a_circle():
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, imports in CORE.items():
        rooms[room_of(module)] |= {room_of(i) for i in imports if i in CORE} - {room_of(module)}
    TopologicalSorter(rooms).prepare()


@pytest.mark.parametrize("module", [module for module in CORE if room_of(module) not in FRONT])
def test_a_room_imports_from_its_own_floor_and_those_below(module):
    above = {i for i in CORE[module] if i in CORE and FLOOR_OF.get(room_of(i), 99) > FLOOR_OF[room_of(module)]}
    assert not above


def test_the_core_and_the_nodes_import_nothing_of_the_training():
    importers = {module for module, imports in GRAPH.items() if any(i.split(".")[0] == "training" for i in imports)}
    assert {module.split(".")[0] for module in importers} == {"training"}


def test_only_comfyuis_door_imports_the_nodes():
    importers = {module for module, imports in GRAPH.items() if any(i.split(".")[0] == "nodes" for i in imports)}
    assert {module.split(".")[0] for module in importers} == {"nodes"}
    assert "from .nodes import" in (ROOT / "__init__.py").read_text(encoding="utf-8")


def test_nodes_import_each_other_and_the_core_relatively():
    for module, path in MODULES.items():
        if module.split(".")[0] == "training":
            continue
        absolute = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if is_absolute(node)]
        assert not absolute, module


def is_absolute(node: ast.AST) -> bool:
    """Whether a node imports a package of this repository by its full name."""
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in PACKAGES for alias in node.names)
    return isinstance(node, ast.ImportFrom) and not node.level and str(node.module).split(".")[0] in PACKAGES


def test_the_core_has_few_modules_at_its_top():
    assert len(list((ROOT / "adain_core").glob("*.py"))) <= 8
