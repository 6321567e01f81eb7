"""Reading PyTorch checkpoints without trusting them: tensors come out, nothing in the file is ever run."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..runtime.files import MAX_BYTES
from ..runtime.memory import is_out_of_memory
from .errors import WeightsError
from .opcodes import check_operations

# The first PyTorch without CVE-2025-32434 and CVE-2026-24747, by which a file ran code in spite of weights_only=True.
_SOUND = "2.10"
# Some bytes of a dictionary that holds another twice, which holds another twice, and so on, have no end laid out.
_MOST_ENTRIES = 100_000
_DEEPEST = 16
_LONGEST_NAME = 1000
# A stream is a magic number, the protocol, the machine, the values and the names of the storages that follow.
_STREAMS = 5


def read_checkpoint(path: Path, trusted: bool = False) -> dict[str, Tensor]:
    """All tensors of a checkpoint: .safetensors, torch.save's zip files and its older streams.

    Args:
        path: of the file.
        trusted: its hash is known; then PyTorch before 2.10 reads torch.save's files too.

    Returns:
        The tensors by their keys; those in nested dictionaries have dots between the keys.

    Raises:
        WeightsError: the file is missing, too large, damaged, or holds objects beside tensors and plain values; or this
            PyTorch cannot read it safely.
    """
    if path.suffix != ".safetensors":
        return _tensors_of(path, load_plain_values(path, trusted))
    _check_size(path)
    try:
        return load_file(path)
    except Exception as error:
        raise _unreadable(path, error) from error


def load_plain_values(path: Path, trusted: bool = False) -> object:
    """What torch.save wrote, as long as it is tensors and plain values; ``trusted`` and errors as above."""
    _check_size(path)
    if not (trusted or torch.__version__ >= _SOUND):
        raise WeightsError(
            f"{path} is a PyTorch checkpoint, and such a file could run code in PyTorch {torch.__version__}; update it"
            f" to {_SOUND} or later, or use a .safetensors file."
        )
    # What PyTorch raises on a damaged file is nearly anything.
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it makes of a damaged file
            return torch.load(_checked(file), map_location="cpu", weights_only=True)
    except Exception as error:
        raise _unreadable(path, error) from error


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"There is no checkpoint {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{path} has {path.stat().st_size} bytes; expected a checkpoint of at most {MAX_BYTES}.")


def _checked(file: IO[bytes]) -> IO[bytes]:
    """A file from its beginning, if it takes no more memory and time than its size suggests: an archive as a copy of
    what was looked at, since PyTorch may find other members in it than Python does."""
    if file.read(2) == b"PK":
        return _copy_of_archive(file)
    file.seek(0)
    for _ in range(_STREAMS):
        check_operations(file)
    file.seek(0)
    return file


def _copy_of_archive(file: IO[bytes]) -> IO[bytes]:
    copy = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(copy, "w") as checked:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed, which torch.save does not do")
        if sum(member.file_size for member in members) > file.seek(0, io.SEEK_END):
            raise ValueError("it unpacks to more bytes than it has")
        for member in members:
            if member.filename.lower().endswith("data.pkl"):
                with archive.open(member) as operations:
                    check_operations(operations)
            checked.writestr(member.filename, archive.read(member))
    copy.seek(0)
    return copy


def _tensors_of(path: Path, content: object) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    left = _MOST_ENTRIES

    def gather(value: object, prefix: str, depth: int) -> None:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise ValueError(f"it has more than {_MOST_ENTRIES} entries, or more than {_DEEPEST} dictionaries in a row")
        if len(prefix) > _LONGEST_NAME:
            raise ValueError(f"it has a name of more than {_LONGEST_NAME} characters")
        if prefix in tensors:
            raise ValueError(f"it has two values of the name '{prefix}'")
        if isinstance(value, Tensor):
            if value.is_nested:
                raise ValueError(f"'{prefix}' is a list of tensors")
            stored = value.untyped_storage().nbytes()
            if value.is_meta or stored > path.stat().st_size or value.numel() * value.element_size() > stored:
                raise ValueError(f"'{prefix}' claims more numbers than the file holds")
            tensors[prefix] = value.detach()
        elif isinstance(value, Mapping):
            for key, item in value.items():
                gather(item, f"{prefix}.{key}" if prefix else str(key), depth + 1)

    try:
        gather(content, "", 0)
    except Exception as error:  # even a key's own text may fail
        raise _unreadable(path, error) from error
    return tensors


def _unreadable(path: Path, error: Exception) -> WeightsError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if reason.startswith("Weights only load failed"):  # goes on with how to load it all the same
        reason = "it is damaged or holds objects beside tensors, which could run anything"
    elif is_out_of_memory(error):
        reason = "it asks for more memory than there is"
    return WeightsError(
        f"{path} cannot be read as a checkpoint of tensors: {reason.rstrip('.')}. Expected a state dict saved by"
        " torch.save, or a .safetensors file."
    )
