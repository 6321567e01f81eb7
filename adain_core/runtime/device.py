"""Which device and number format to compute with."""

from __future__ import annotations

import timeit
from functools import cache

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class DeviceError(ValueError):
    """A device or dtype that does not exist here was asked for."""


def resolve_device(name: str = "auto") -> torch.device:
    """The device of a name; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        DeviceError: there is no such device on this machine.
    """
    if name == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DeviceError(f"Device '{name}' cannot be used here: {reason}. Use 'auto' or 'cpu'.") from error
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of convolutions; ``auto`` is bfloat16 where the device is faster in it and float32 elsewhere.

    Raises:
        DeviceError: the name is none of auto, float32, bfloat16, float16.
    """
    if name == "auto":
        return torch.bfloat16 if _is_faster_in_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise DeviceError(f"'{name}' is no dtype; expected auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


@cache
def _is_faster_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # torch.cpu names what it looks for differently from version to version.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    if device.type != "cpu" or not any(getattr(torch.cpu, name, bool)() for name in names):
        return False
    # To have the instructions says nothing: some CPUs take twice float32's time with them, others half. A single thread
    # never waits for another, which keeps the times true on a busy machine.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        plain, short = (_matmul_seconds(dtype) for dtype in (torch.float32, torch.bfloat16))
    finally:
        torch.set_num_threads(threads)
    return short < 0.8 * plain


def _matmul_seconds(dtype: torch.dtype) -> float:
    matrix = torch.ones(256, 256, dtype=dtype)
    return min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=20))
