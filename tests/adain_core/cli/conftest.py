from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from adain_core.cli import main
from adain_core.images.pictures import Picture, to_pil
from tests.helpers import ROOT, random_picture

Adain = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def adain() -> Adain:
    """Runs ``python -m adain_core ...`` in a process of its own."""

    def run(*args: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "adain_core", *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)

    return run


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> Adain:
    """Runs a command line in the tests' own process, which saves the start of PyTorch."""

    def run(*args: object) -> subprocess.CompletedProcess[str]:
        try:
            code = main([*map(str, args)])
        except SystemExit as stop:
            code = stop.code
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    to_pil(Picture(random_picture(40, 56))).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    to_pil(Picture(random_picture(48, 32, seed=1))).save(tmp_path / "painting.png")
    return tmp_path / "painting.png"


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
