"""What the ComfyUI Registry serves: all that git knows but for the paths in .comfyignore.

Its scanner withholds versions in which it finds patterns of harmful code, in comments and documents too.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.helpers import ROOT

FLAGGED = re.compile(
    r"os\.environ|\bgetenv|\bpickle|\bsubprocess|\bctypes|\bsocket|(?<![\w.])(?:eval|exec)\(|\bimport_module|\bbase64",
    re.IGNORECASE,
)
# The one file that reads the environment.
ALLOWED = {("adain_core/runtime/environment.py", "os.environ")}
NEEDED = [
    "__init__.py",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements.txt",
    "adain_core/LICENSES.md",
    "adain_core/models/embedded/lite.safetensors",
    "adain_core/models/embedded/styles/woodcut-and-ink/wadsworth-rotterdam.safetensors",
    "locales/zh/nodeDefs.json",
    "nodes/stylize.py",
    "training/recipes/paper.toml",
    "subgraphs/Style Transfer.json",
    "web/docs/AdaINLoadStyle/styles.jpg",
    "web/docs/AdaINStylize/en.md",
    "web/examples.js",
    "web/thumbnails.js",
    "workflows/01 Style transfer - a photo in the style of a painting.json",
    "workflows/01 Style transfer - a photo in the style of a painting.jpg",
    "workflows/examples/film_chelsea.mp4",
    "workflows/examples/photo_coffee.jpg",
]


def ignored_paths() -> list[str]:
    lines = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_under(path: str, folder: str) -> bool:
    return f"/{path}/".startswith(f"{folder}/")


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("which files are shipped is known to git")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.rstrip("\0").split("\0")


@pytest.fixture(scope="module")
def shipped(tracked) -> list[str]:
    return [path for path in tracked if not any(is_under(path, ignored) for ignored in ignored_paths())]


def test_ignored_paths_are_plain_paths_from_the_root():
    for line in ignored_paths():
        assert re.fullmatch(r"(/[\w.-]+)+", line), line


def test_what_users_run_is_shipped_and_the_workshop_is_not(shipped):
    assert not [path for path in NEEDED if path not in shipped]
    assert not [path for path in shipped if re.match(r"tests/|docs/|site/|\.|.*/make_\w+\.py$", path)]


def test_nothing_that_is_shipped_has_a_pattern_that_the_registry_withholds(shipped):
    found = set()
    for path in shipped:
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found |= {(path, match.lower()) for match in FLAGGED.findall(text)}
    assert found == ALLOWED
