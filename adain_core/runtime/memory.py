"""How much memory a device has left, and how it says that it has none."""

from __future__ import annotations

from pathlib import Path

import torch

_MEMINFO = Path("/proc/meminfo")


def available_memory(device: torch.device) -> int | None:
    """Bytes that can still be allocated on a device; None where the system does not say."""
    if device.type == "cuda":
        unused_by_cache = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused_by_cache
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    if device.type == "cpu" and _MEMINFO.exists():
        fields = dict(line.split(":") for line in _MEMINFO.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    return None


def check_fits(needed: float, device: torch.device, what: str) -> None:
    """Refuse what a device has no room for, before the work begins.

    Args:
        needed: bytes.
        device: where.
        what: the request in the user's words, such as "A picture of 70000 x 50000 pixels".

    Raises:
        ValueError: with both numbers.
    """
    available = available_memory(device)
    if available is not None and needed > available:
        raise ValueError(
            f"{what} would need about {needed / 2**30:.1f} GiB of memory, but {available / 2**30:.1f} GiB are free;"
            " use a smaller size."
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch says that a device, or the CPU's allocator, has no room, or Python that it has none."""
    text = str(error)
    lacks_room = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
    return lacks_room or "DefaultCPUAllocator" in text or "out of memory" in text
