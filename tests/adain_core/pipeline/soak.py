"""Stylize pictures of all sizes in one process: ``python -m tests.adain_core.pipeline.soak WARM_UP RUNS`` prints the
bytes of memory in use after the warm-up and at the end."""

import ctypes
import os
import random
import sys

from tests.helpers import random_picture, tiny_model

KINDS = ("plain", "concat-both", "add-content-adain")


def resident_bytes() -> int:
    """Memory in use, without what the allocator keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(warm_up: int, runs: int) -> None:
    chance = random.Random(0)
    models = [tiny_model(kind) for kind in KINDS]
    for run in range(runs):
        if run == warm_up:
            print(resident_bytes())
        sizes = [chance.randint(1, 200) for _ in range(4)]
        content, style = random_picture(*sizes[:2], seed=run), random_picture(*sizes[2:], seed=run + 1)
        result = models[run % len(models)](content, style, alpha=chance.random(), tile=chance.choice(["auto", 64]))
        assert result.shape == content.shape and result.isfinite().all()
    print(resident_bytes())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
