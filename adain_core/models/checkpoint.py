"""Reading PyTorch checkpoints without trusting them: tensors come out, nothing in the file is ever run."""

from __future__ import annotations

import pickle
import pickletools
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..runtime.files import MAX_BYTES
from .errors import WeightsError

_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
}
# Streams from before PyTorch 1.6 begin with these pickles: a magic number, the protocol's version, the system; then
# comes the content.
_PICKLES_BEFORE_CONTENT = 3


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint: .safetensors, torch.save's zip files, its older streams, and the tar files of 2016.

    Returns:
        The tensors by their keys; those in nested dictionaries have dots between the keys.

    Raises:
        WeightsError: the file is missing, too large, damaged, or holds objects beside tensors and plain values.
    """
    if not path.is_file():
        raise WeightsError(f"There is no checkpoint {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{path} has {path.stat().st_size} bytes; expected a checkpoint of at most {MAX_BYTES}.")
    try:
        tensors = dict(_flatten(_read(path)))
        for key, x in tensors.items():
            if x.numel() * x.element_size() > x.untyped_storage().nbytes():
                raise ValueError(f"'{key}' claims more numbers than the file holds")
    # The parsers of these formats raise nearly anything on a damaged file.
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        if reason[0].startswith("Weights only load failed"):  # goes on with how to load it all the same
            reason = ["it is damaged or holds objects beside tensors, which could run anything"]
        raise WeightsError(
            f"{path} cannot be read as a checkpoint of tensors: {reason[0].rstrip('.')}. Expected a state dict saved by"
            " torch.save, or a .safetensors file."
        ) from error
    return tensors


def _read(path: Path) -> object:
    if path.suffix == ".safetensors":
        return load_file(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
    elif tarfile.is_tarfile(path):
        return _read_tar(path)
    else:
        _check_numbers(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _flatten(value: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield prefix[:-1], value.detach()
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{prefix}{key}.")


def _check_numbers(path: Path) -> None:
    """Refuse an old stream that asks for more memory than it has bytes: torch.load would reserve it first."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for _ in range(_PICKLES_BEFORE_CONTENT):
            list(pickletools.genops(file))
        for _, argument, _ in pickletools.genops(file):
            if isinstance(argument, int) and argument > size:
                raise ValueError(f"it speaks of {argument} numbers, but has {size} bytes")


class _TarUnpickler(pickle.Unpickler):
    """Knows dictionaries and the names of storages and tensors, and nothing that could be called.

    Args:
        file: to read from.
        tensors: what the persistent ids in it stand for.
    """

    def __init__(self, file: IO[bytes], tensors: Mapping[Any, Tensor] | None = None) -> None:
        super().__init__(file, encoding="latin1")
        self._tensors = tensors or {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module in ("torch", "torch.cuda") and name in _STORAGES:
            return _STORAGES[name]
        if module in ("torch", "torch.cuda") and name.endswith("Tensor"):
            return name
        raise pickle.UnpicklingError(f"it holds a {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> Tensor:
        return self._tensors[pid]


def _read_tar(path: Path) -> object:
    """PyTorch 0.1's format: the members storages, tensors (views of them) and pickle (which refers to both)."""
    with tarfile.open(path, "r:") as archive:
        storages, views, content = (archive.extractfile(name) for name in ("storages", "tensors", "pickle"))
        if not (storages and views and content):
            raise ValueError("it is no checkpoint but another tar file")
        found: dict[Any, Tensor] = {}
        for _ in range(_TarUnpickler(storages).load()):
            key, _, dtype = _TarUnpickler(storages).load()
            (count,) = struct.unpack("<q", storages.read(8))
            data = storages.read(count * dtype.itemsize) if 0 < count * dtype.itemsize <= MAX_BYTES else b""
            found[key] = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
        for target, root, offset, count in _TarUnpickler(storages).load():
            found[target] = found[root][offset : offset + count]
        tensors: dict[Any, Tensor] = {}
        for _ in range(_TarUnpickler(views).load()):
            key, storage, _ = _TarUnpickler(views).load()
            rank, _ = struct.unpack("<ii", views.read(8))
            *numbers, offset = struct.unpack(f"<{2 * rank + 1}q", views.read(8 * (2 * rank + 1)))
            tensors[key] = found[storage].as_strided(numbers[:rank], numbers[rank:], offset)
        return _TarUnpickler(content, tensors | found).load()
