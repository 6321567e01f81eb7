"""One process for a long time: its memory stays flat, interruptions break nothing, threads share a model."""

import platform
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from adain_core.models.weights import embedded_models
from adain_core.pipeline.transfer import StyleTransfer
from tests.adain_core.pipeline.soak import KINDS
from tests.helpers import ROOT, random_picture, tiny_model

WARM_UP = 30
# These notice a leak of a picture per run; --soak 500 takes larger pictures as well.
FEWEST = 120
MANY = 500


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs Linux's /proc and glibc's malloc_trim")
def test_memory_stays_flat_over_pictures_of_all_sizes(request):
    runs = max(FEWEST, request.config.getoption("--soak"))
    side = 900 if runs >= MANY else 200
    command = [sys.executable, "-m", "tests.adain_core.pipeline.soak", *map(str, (WARM_UP, runs, side))]
    soak = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    warm, last, held = map(int, soak.stdout.split())
    assert last < 1.05 * warm
    assert held < 2**30


class Stop(Exception):
    """Somebody pressed the button."""


@pytest.mark.parametrize("kind", KINDS)
def test_interrupts_at_random_points_leave_no_broken_state(kind):
    chance = random.Random(1)
    model = tiny_model(kind)
    content, style = random_picture(90, 70), random_picture(60, 80, seed=1)
    expected = model(content, style, tile=64)
    for _ in range(70):
        last = chance.random()

        def progress(share: float, last: float = last) -> None:
            if share >= last:
                raise Stop

        with pytest.raises(Stop):
            model(content, style, tile=64, progress=progress)
        if chance.random() < 0.2:
            with pytest.raises(ValueError, match="shape"):
                model(content[0], style)
    torch.testing.assert_close(model(content, style, tile=64), expected, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_with_one_model(kind):
    model = tiny_model(kind)
    pairs = [
        (random_picture(60 + 7 * i, 90 - 5 * i, seed=i), random_picture(50 + i, 64, seed=100 + i)) for i in range(8)
    ]
    alone = [model(*pair, tile=64) for pair in pairs]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            together = list(pool.map(lambda pair: model(*pair, tile=64), pairs))
            for a, b in zip(together, alone, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_two_threads_with_the_embedded_model_in_the_default_precision():
    model = StyleTransfer.from_pretrained(embedded_models()[0], device="cpu")
    pairs = [(random_picture(64, 80 - 8 * i, seed=i), random_picture(64, 64, seed=9 + i)) for i in range(4)]
    alone = [model(*pair) for pair in pairs]
    with ThreadPoolExecutor(2) as pool:
        for a, b in zip(pool.map(lambda pair: model(*pair), pairs), alone, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1 / 255)
