"""Devices, models in memory, and interruption: one CPU that has room for everything."""

from __future__ import annotations

import torch

OOM_EXCEPTION = torch.cuda.OutOfMemoryError

loaded: list = []
"""The patchers that were asked for, in order."""
required: list[float] = []
"""How much memory was asked for besides, each time."""
whole: list[bool] = []
"""Whether all of the weights were asked for, each time; else some may stay where they were."""
stop_after: int | None = None
"""How many more times somebody may ask whether the user pressed stop, before the answer is yes."""


class InterruptProcessingException(Exception):
    pass


def throw_exception_if_processing_interrupted() -> None:
    global stop_after
    if stop_after is None:
        return
    stop_after -= 1
    if stop_after < 0:
        stop_after = None
        raise InterruptProcessingException()


def get_torch_device() -> torch.device:
    return torch.device("cpu")


def unet_offload_device() -> torch.device:
    return torch.device("cpu")


def intermediate_device() -> torch.device:
    return torch.device("cpu")


def is_device_cpu(device: torch.device) -> bool:
    return device.type == "cpu"


def should_use_bf16(device: torch.device | None = None) -> bool:
    return False


def soft_empty_cache() -> None:
    pass


def load_models_gpu(models: list, memory_required: float = 0, force_full_load: bool = False) -> None:
    required.append(memory_required)
    whole.append(force_full_load)
    for patcher in models:
        patcher.model.to(patcher.load_device)
        patcher.model.device = patcher.load_device
        loaded.append(patcher)
