"""Files that are either whole or not there."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

FORMAT = "adain-1"
"""The version of this package's .safetensors files, in the metadata of each."""

MAX_BYTES = 2**31
"""No weights file is larger; what is gets refused before anything is read."""

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
"""What the numbers in a file may be. The levels of a quantized model mean nothing without their scale, nor do two
numbers in one byte, and of complex numbers half would be lost."""

_log = logging.getLogger(__name__)


@cache
def log_passed_over(reason: str) -> None:
    """Warn, once, that a file among others is not used; the reason is a sentence that names it."""
    _log.warning("%s It is passed over.", reason)


def unique_beside(path: Path) -> Path:
    """A name for a file that becomes ``path``: in its folder, with its suffix, of no other process, and short enough
    wherever the name itself is."""
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix[:20]}")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A file to write, of a name of its own beside ``path`` and with its suffix: when the block ends ``path`` has that
    content. When the block raises it stays as it was, and nothing is left beside it.

    A symbolic link stays one: what it points to is written.

    Raises:
        OSError: there is no room or no right to write.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unique_beside(path)
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or a crash soon after might leave the name with nothing in it
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name holds either the old content or all of the new, as :func:`atomic_file` does.

    Raises:
        OSError: there is no room or no right to write; it names ``path``.
    """
    try:
        with atomic_file(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a .safetensors file of this package atomically; equal content gives equal bytes. Of metadata from names of
    files that are no UTF-8 what is none becomes question marks.

    Raises:
        OSError: there is no room or no right to write.
    """
    texts = {key: text.encode(errors="replace").decode() for key, text in metadata.items()}
    data = save(dict(tensors), {**texts, "format": FORMAT})
    # The library writes metadata in any order.
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    write_atomically(path, len(text).to_bytes(8, "little") + text + data[end:])
