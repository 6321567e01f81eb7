"""Work that is split over processes and machines by torchrun."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")

_PATIENCE = timedelta(days=30)


def rank() -> int:
    """The number of this process, from 0; torchrun's ``RANK``, which means nothing to a single process."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def world_size() -> int:
    """How many processes torchrun started, on all machines; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def own_share(items: Sequence[T]) -> list[T]:
    """What this process does of the work that all were given: every n-th item."""
    return list(items[rank() :: world_size()])


def wait_for_all() -> None:
    """Return when every process has come here. torchrun ends all of them as soon as one exits with an error, so none
    with a failed file may go before the others are done."""
    if world_size() == 1:
        return
    if not dist.is_initialized():
        dist.init_process_group("gloo", timeout=_PATIENCE)
    dist.barrier()
