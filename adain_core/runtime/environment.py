"""The environment variables that this package reads, and sets for its own commands: all of them, here."""

from __future__ import annotations

import os
from pathlib import Path


class VariableError(ValueError):
    """An environment variable holds what it cannot mean; the message says which and what was expected."""


def models_folder() -> Path | None:
    """ADAIN_MODELS: a folder of one's own weights files, such as ComfyUI's models/adain."""
    folder = os.environ.get("ADAIN_MODELS")
    return Path(folder) if folder else None


def repository() -> str:
    """ADAIN_REPOSITORY: the repository on the Hub where ``hf://NAME.safetensors`` points to."""
    return os.environ.get("ADAIN_REPOSITORY") or "comfyui-adain/adain"


def is_offline() -> bool:
    """ADAIN_OFFLINE: whether this package may download nothing."""
    return os.environ.get("ADAIN_OFFLINE", "0") not in ("", "0")


def allows_downloads() -> bool:
    """ADAIN_ALLOW_DOWNLOADS: whether a program that asks before it downloads may do so without asking."""
    return os.environ.get("ADAIN_ALLOW_DOWNLOADS", "0") not in ("", "0")


def torchrun_number(name: str, least: int = 0) -> int:
    """One of the whole numbers by which torchrun tells a process its place: WORLD_SIZE, RANK, LOCAL_RANK.

    Raises:
        VariableError: it is no whole number from ``least`` on, which it is where it is not set.
    """
    value = os.environ.get(name, str(least))
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and int(value) >= least):
        raise VariableError(
            f"{name} is '{value}' in the environment; expected a whole number from {least}, as torchrun sets it. Unset"
            " it to work in one process."
        )
    return int(value)


def missing_for_torchrun() -> list[str]:
    """Which of the variables are not set that torchrun gives to each of several processes."""
    return [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]


def bound_caches() -> None:
    """Let PyTorch keep what it prepared for its last 32 convolutions in place of 1024: enough for pictures of one size,
    where pictures of all sizes would take gigabytes. What the user has set stays. To be called before the first
    convolution, in a process that is ours alone."""
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(name, "32")
