"""Stylize pictures of sides up to SIDE in a process: ``python -m tests.adain_core.pipeline.soak WARM_UP RUNS SIDE``
prints the bytes in use after the warm-up and at the end, and those held at the end, before the allocator gave back what
it keeps for later."""

import ctypes
import os
import random
import sys

from adain_core.runtime.environment import bound_caches
from tests.helpers import random_picture, tiny_model

KINDS = ("plain", "concat-both", "add-content-adain")


def used_bytes() -> int:
    """Memory in use, without what the allocator keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()


def resident_bytes() -> int:
    """Memory that the process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(warm_up: int, runs: int, side: int) -> None:
    bound_caches()
    chance = random.Random(0)
    models = [tiny_model(kind) for kind in KINDS]
    for run in range(runs):
        if run == warm_up:
            print(used_bytes())
        sizes = [chance.randint(1, side) for _ in range(4)]
        content, style = random_picture(*sizes[:2], seed=run), random_picture(*sizes[2:], seed=run + 1)
        result = models[run % len(models)](content, style, alpha=chance.random(), tile=chance.choice(["auto", 64]))
        assert result.shape == content.shape and result.isfinite().all()
    held = resident_bytes()
    print(used_bytes(), held)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
