"""One process for a long time: its memory stays flat, interruptions break nothing, threads share a model."""

import ctypes
import os
import platform
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from adain_core.pipeline import StyleTransfer
from adain_core.weights import embedded_models
from tests.helpers import random_picture, tiny_model

# The full soak: ADAIN_SOAK=500. A shorter one notices a leak of a picture per run as well.
RUNS = int(os.environ.get("ADAIN_SOAK", "120"))
KINDS = ("plain", "concat-both", "add-content-adain")


def resident_bytes() -> int:
    """Memory in use, without what the allocator keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs Linux's /proc and glibc's malloc_trim")
def test_memory_stays_flat_over_pictures_of_all_sizes():
    chance = random.Random(0)
    models = [tiny_model(kind) for kind in KINDS]

    def stylize(run: int) -> None:
        sizes = [chance.randint(1, 200) for _ in range(4)]
        content, style = random_picture(*sizes[:2], seed=run), random_picture(*sizes[2:], seed=run + 1)
        result = models[run % len(models)](content, style, alpha=chance.random(), tile=chance.choice(["auto", 64]))
        assert result.shape == content.shape and result.isfinite().all()

    # oneDNN keeps what it prepared for up to 1024 shapes of convolutions, so warming up takes a while.
    warm_up = 2 * RUNS // 3
    for run in range(warm_up):
        stylize(run)
    warm = resident_bytes()
    for run in range(warm_up, RUNS):
        stylize(run)
    assert resident_bytes() < 1.05 * warm


class Stop(Exception):
    """Somebody pressed the button."""


@pytest.mark.parametrize("kind", KINDS)
def test_interrupts_at_random_points_leave_no_broken_state(kind):
    chance = random.Random(1)
    model = tiny_model(kind)
    content, style = random_picture(90, 70), random_picture(60, 80, seed=1)
    expected = model(content, style, tile=64)
    stopped = 0
    for _ in range(70):
        last = chance.random()

        def progress(share: float, last: float = last) -> None:
            if share >= last:
                raise Stop

        with pytest.raises(Stop):
            model(content, style, tile=64, progress=progress)
        stopped += 1
        if chance.random() < 0.2:
            with pytest.raises(ValueError, match="shape"):
                model(content[0], style)
    assert stopped == 70
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
