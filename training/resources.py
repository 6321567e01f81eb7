"""Time and memory of a piece of work on a device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import torch

_STATUS = Path("/proc/self/status")
_CLEAR_PEAK = Path("/proc/self/clear_refs")

Result = TypeVar("Result")


def timed(device: torch.device, work: Callable[[], Result]) -> tuple[Result, float]:
    """Do some work: its result and the seconds that it took, the device's queue included."""
    _synchronize(device)
    start = time.perf_counter()
    result = work()
    _synchronize(device)
    return result, time.perf_counter() - start


def peak_mebibytes(device: torch.device, work: Callable[[], object]) -> float:
    """Do some work: the most memory that it held at a time beyond what was held before.

    Memory of the device for CUDA, of the process on Linux; NaN elsewhere.
    """
    if device.type == "cuda":
        _synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    if not _CLEAR_PEAK.exists():
        work()
        return math.nan
    # What earlier work freed but the allocator kept would hide what this work needs.
    if hasattr(psutil, "heap_trim"):
        psutil.heap_trim()
    _CLEAR_PEAK.write_text("5")  # proc(5): the peak resident size becomes the current one
    before = _resident_bytes("VmRSS")
    work()
    return (_resident_bytes("VmHWM") - before) / 2**20


def peak_resident_mebibytes() -> float:
    """The most memory that this process held at a time, since the last :func:`peak_mebibytes` began; NaN where there is
    no Linux."""
    return _resident_bytes("VmHWM") / 2**20 if _STATUS.exists() else math.nan


def _synchronize(device: torch.device) -> None:
    if device.type == "mps":
        torch.mps.synchronize()
    elif device.type != "cpu":
        getattr(torch, device.type).synchronize(device)


def _resident_bytes(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024
