"""A folder of pictures of all sizes through the command line: memory stays bounded.

pytest tests/adain_core/cli/test_endurance.py --soak 500
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from adain_core.runtime import environment
from tests.helpers import ROOT


def run_and_measure(command: list[object]) -> tuple[int, int]:
    """Exit code and the most bytes that the process held."""
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        if known := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text()):
            most = int(known[1]) * 1024
        time.sleep(0.05)
    return process.returncode, most


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says how much memory a process held at most")
def test_a_folder_takes_less_than_a_gigabyte(tmp_path, examples, request):
    chance = random.Random(0)
    (tmp_path / "photos").mkdir()
    with Image.open(examples / "photo_coffee.jpg") as photo:
        for number in range(request.config.getoption("--soak")):
            size = chance.randint(16, 900), chance.randint(16, 900)
            photo.resize(size).save(tmp_path / "photos" / f"{number:04}.jpg")
    command = [sys.executable, "-m", "adain_core", "stylize", tmp_path / "photos", examples / "style_flow.jpg"]
    code, most = run_and_measure([*command, "-o", tmp_path / "out"])
    assert code == 0
    assert len(list((tmp_path / "out").iterdir())) == len(list((tmp_path / "photos").iterdir()))
    assert 2**27 < most < 2**30


def test_pytorch_keeps_less_unless_the_user_has_set_how_much(monkeypatch):
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "100")
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "remembered")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    environment.bound_caches()
    assert os.environ["LRU_CACHE_CAPACITY"] == "100"
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "32"
