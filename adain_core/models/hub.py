"""Files on the Hugging Face Hub: whole ones, or some tensors of a large one.

huggingface_hub does the work, so its users' settings hold: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE,
HF_HUB_DOWNLOAD_TIMEOUT, HF_HUB_DISABLE_PROGRESS_BARS. ``ADAIN_OFFLINE=1`` switches downloads off for this package
alone; what was downloaded before is still used. Every download is announced in the log before it starts. A program
that is told by strangers what to download asks for :func:`~adain_core.models.transfers.consent` first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from ..runtime.files import atomic_file
from ..runtime.progress import Progress, ignore_progress
from .addresses import HubError, HubFile, cache_folder
from .transfers import announce, ask, downloads_allowed, one_sentence, pieces

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FIRST_READ = 2**16
_MAX_HEADER = 2**24

_log = logging.getLogger(__name__)


def download(file: HubFile, folder: Path | None = None, progress: Progress = ignore_progress) -> Path:
    """A file of the Hub as a file here; nothing is transferred if it is there and still the same.

    Args:
        file: its SHA-256 is checked, where it or the Hub names one.
        folder: where to put it (default: :func:`cache_folder`).
        progress: called several times a second with the share that is transferred, where something has to be.

    Raises:
        HubError: there is no copy here and none can be had. An earlier good copy is used in such a case.
    """
    earlier = file.cached()
    if earlier and file.sha256 and hash_of(earlier) != file.sha256:
        earlier = None
    if earlier and (_COMMIT.fullmatch(file.revision) or not downloads_allowed()):
        return earlier
    try:
        return _download(file, folder or cache_folder(), earlier, progress)
    except HubError as error:
        if earlier is None:
            raise
        _log.warning("%s The copy from before is used.", error)
        return earlier


def _download(file: HubFile, folder: Path, earlier: Path | None, progress: Progress) -> Path:
    with one_sentence(file):
        size, expected = ask(file, progress)
        if earlier and expected and hash_of(earlier) == expected:
            return earlier
        announce(file, size)
        path, digest = file.kept_in(folder), hashlib.sha256()
        with atomic_file(path) as temporary:
            with temporary.open("wb") as target:
                for piece in pieces(file, [(0, size)], progress):
                    target.write(piece)
                    digest.update(piece)
            if expected and digest.hexdigest() != expected:
                raise HubError(f"{file} has another content than it should (its SHA-256 is not {expected}); try again.")
    return path


def read_tensors(file: HubFile, names: Collection[str], progress: Progress = ignore_progress) -> dict[str, Tensor]:
    """Some tensors of a .safetensors file on the Hub; of the file only the header and their bytes are transferred.

    Args:
        file: in a cache or not. Of what is read in parts no hash can be taken; the one that the Hub names for the whole
            must be the file's.
        names: of the tensors.
        progress: called several times a second with the share that is transferred, where something has to be.

    Raises:
        HubError: the file cannot be had, is damaged, or has no such tensors.
    """
    cached = file.cached()
    try:
        if cached and file.sha256 in (None, hash_of(cached)):
            with safe_open(cached, framework="pt") as content:
                return {name: content.get_tensor(name) for name in names}
        with one_sentence(file):
            return load(_excerpt(file, names, progress))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, HubError):
            raise
        raise HubError(f"{file} is damaged or not what was expected: {error}.") from error


def _excerpt(file: HubFile, names: Collection[str], progress: Progress) -> bytes:
    """A smaller .safetensors file with some tensors of a large one."""
    whole, _ = ask(file, progress)
    first = b"".join(pieces(file, [(0, min(whole, _FIRST_READ))], ignore_progress))
    length = int.from_bytes(first[:8], "little")
    if length > min(whole, _MAX_HEADER):
        raise HubError(f"{file} is no .safetensors file: it begins with a header of {length} bytes.")
    start = 8 + length
    if start > len(first):
        first += b"".join(pieces(file, [(len(first), start)], ignore_progress))
    header = json.loads(first[8:start])
    wanted = {name: dict(header[name]) for name in sorted(names, key=lambda name: header[name]["data_offsets"])}
    offsets = [entry["data_offsets"] for entry in wanted.values()]
    if not all(0 <= begin <= end <= whole - start for begin, end in offsets):
        raise ValueError("its header speaks of bytes that it does not have")
    announce(file, sum(end - begin for begin, end in offsets))
    spans = [(start + begin, start + end) for begin, end in _runs(offsets)]
    data = b"".join(pieces(file, spans, progress))
    position = 0
    for entry in wanted.values():
        begin, end = entry["data_offsets"]
        entry["data_offsets"] = [position, position := position + end - begin]
    text = json.dumps(wanted).encode()
    return len(text).to_bytes(8, "little") + text + data


def _runs(offsets: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Intervals in ascending order, joined where one begins at the other's end, so that requests are few."""
    runs: list[tuple[int, int]] = []
    for begin, end in offsets:
        if runs and runs[-1][1] == begin:
            begin, _ = runs.pop()
        runs.append((begin, end))
    return runs


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
