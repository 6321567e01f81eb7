"""Files on the Hugging Face Hub: whole ones, or some tensors of a large one.

huggingface_hub does the work, so its users' settings hold: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE,
HF_HUB_DOWNLOAD_TIMEOUT, HF_HUB_DISABLE_PROGRESS_BARS. ``ADAIN_OFFLINE=1`` switches downloads off for this package
alone; what was downloaded before is still used. Every download is announced in the log before it starts.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import (
    cached_assets_path,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.utils import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    build_hf_headers,
    hf_raise_for_status,
    http_backoff,
    tqdm,
)
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from ..runtime.files import FORMAT, MAX_BYTES
from ..runtime.progress import Progress, ignore_progress
from .errors import WeightsError

REPOSITORY = os.environ.get("ADAIN_REPOSITORY", "comfyui-adain/adain")
"""This project's own repository, where ``hf://NAME.safetensors`` points to."""

SCHEME = "hf://"
_ADDRESS = re.compile(
    r"(?:(?P<repo>[\w.-]+/[\w.-]+)/)?(?P<filename>\w[\w./-]*\.safetensors)(?:@(?P<revision>[\w./-]+))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIRST_READ = 2**16
_LARGEST_READ = 2**21
_MAX_HEADER = 2**24
_BY_HAND = {".pth": " and make a .safetensors file of it with 'python -m adain_core convert'"}
_LOGIN = "log in with 'hf auth login' or HF_TOKEN"
# huggingface_hub has used several HTTP libraries; the error that its own one extends covers what the network does.
_NETWORK_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]

_log = logging.getLogger(__name__)


class HubError(WeightsError):
    """A file cannot be had from the Hub; the message says which, why and what to do."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository.

    Args:
        repo_id: owner/name.
        filename: its path in the repository.
        revision: a branch, a tag or, so that the file can never change, a commit's 40 hex digits.
        repo_type: ``model`` or ``space``.
        sha256: of its content, where known; the Hub's own is checked anyway, where it has one.
    """

    repo_id: str
    filename: str
    revision: str = "main"
    repo_type: str = "model"
    sha256: str | None = None

    @classmethod
    def parse(cls, address: str) -> HubFile:
        """The file of an address ``hf://owner/repo/path/file.safetensors@revision``; the revision may be left out, and
        ``hf://file.safetensors`` is a file of :data:`REPOSITORY`.

        Raises:
            HubError: the address is of another form.
        """
        match = _ADDRESS.fullmatch(address.removeprefix(SCHEME))
        if not match or ".." in address:
            raise HubError(
                f"'{address}' is no address on the Hub; expected hf://owner/repo/file.safetensors, with @revision after"
                " it where a certain one is wanted."
            )
        return cls(match["repo"] or REPOSITORY, match["filename"], match["revision"] or "main")

    def __str__(self) -> str:
        kind = "spaces/" if self.repo_type == "space" else ""
        return f"{SCHEME}{kind}{self.repo_id}/{self.filename}@{self.revision}"

    @property
    def url(self) -> str:
        """Where the Hub serves it."""
        return hf_hub_url(self.repo_id, self.filename, repo_type=self.repo_type, revision=self.revision)

    def cached(self) -> Path | None:
        """The copy in huggingface_hub's cache, if there is one."""
        try:
            path = try_to_load_from_cache(self.repo_id, self.filename, revision=self.revision, repo_type=self.repo_type)
        except HFValidationError:
            return None
        return Path(path) if isinstance(path, str) else None


def downloads_allowed() -> bool:
    """Whether neither ADAIN_OFFLINE nor HF_HUB_OFFLINE is set."""
    return os.environ.get("ADAIN_OFFLINE", "0") in ("", "0") and not constants.HF_HUB_OFFLINE


def cache_folder() -> Path:
    """Where this package keeps what it made of files from the Hub, among the Hub's other caches (HF_HOME).

    Raises:
        HubError: the folder cannot be made.
    """
    try:
        return cached_assets_path("comfyui-adain", "encoders", FORMAT, assets_dir=constants.HF_ASSETS_CACHE)
    except (OSError, ValueError) as error:
        raise HubError(f"There is no folder to keep downloads in: {error}. HF_HOME names another place.") from error


def download(file: HubFile, cache: Path | None = None, progress: Progress = ignore_progress) -> Path:
    """A file of the Hub in huggingface_hub's cache; nothing is transferred if it is there and still the same.

    Args:
        file: its SHA-256 is checked after a transfer, where it or the Hub names one.
        cache: another folder for the cache.
        progress: called with the share that is transferred, where something has to be.

    Raises:
        HubError: there is no copy here and none can be had. An earlier good copy is used in such a case.
    """
    earlier = file.cached()
    if earlier and file.sha256 and hash_of(earlier) != file.sha256:
        earlier = None
    if earlier and (_COMMIT.fullmatch(file.revision) or not downloads_allowed()):
        return earlier
    try:
        return _download(file, cache, earlier, progress)
    except HubError as error:
        if earlier is None:
            raise
        _log.warning("%s The copy from before is used.", error)
        return earlier


def _download(file: HubFile, cache: Path | None, earlier: Path | None, progress: Progress) -> Path:
    with _one_sentence(file):
        metadata = get_hf_file_metadata(file.url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        size = metadata.size or 0
        if size > MAX_BYTES:
            raise HubError(f"{file} has {size} bytes; expected weights of at most {MAX_BYTES}.")
        if earlier is None:
            _announce(file, size)
        options: dict[str, Any] = {"repo_type": file.repo_type, "revision": file.revision, "cache_dir": cache}
        # Older versions of huggingface_hub show their own bar alone.
        stops: list[BaseException] = []
        if "tqdm_class" in inspect.signature(hf_hub_download).parameters:
            options["tqdm_class"] = _bar(progress, stops)
        path = Path(hf_hub_download(file.repo_id, file.filename, **options))
        if stops:
            raise stops[0]
        expected = file.sha256 or (metadata.etag if _SHA256.fullmatch(metadata.etag or "") else None)
        if path != earlier and expected and hash_of(path) != expected:
            for part in (path.resolve(), path):
                part.unlink(missing_ok=True)
            raise HubError(f"{file} has another content than it should (its SHA-256 is not {expected}); try again.")
    return path


def read_tensors(file: HubFile, names: Collection[str], progress: Progress = ignore_progress) -> dict[str, Tensor]:
    """Some tensors of a .safetensors file on the Hub; of the file only the header and their bytes are transferred.

    Args:
        file: in huggingface_hub's cache or not.
        names: of the tensors.
        progress: called with the share that is transferred, where something has to be.

    Raises:
        HubError: the file cannot be had, is damaged, or has no such tensors.
    """
    cached = file.cached()
    try:
        if cached:
            with safe_open(cached, framework="pt") as content:
                return {name: content.get_tensor(name) for name in names}
        with _one_sentence(file):
            return load(_excerpt(file, names, progress))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, HubError):
            raise
        raise HubError(f"{file} is damaged or not what was expected: {error}.") from error


def _excerpt(file: HubFile, names: Collection[str], progress: Progress) -> bytes:
    """A smaller .safetensors file with some tensors of a large one."""
    first = _read_range(file, 0, _FIRST_READ)
    length = int.from_bytes(first[:8], "little")
    if length > _MAX_HEADER:
        raise HubError(f"{file} is no .safetensors file: it begins with a header of {length} bytes.")
    start = 8 + length
    if start > len(first):
        first += _read_range(file, len(first), start)
    header = json.loads(first[8:start])
    wanted = {name: dict(header[name]) for name in sorted(names, key=lambda name: header[name]["data_offsets"])}
    size = sum(end - begin for begin, end in (entry["data_offsets"] for entry in wanted.values()))
    if not 0 <= size <= MAX_BYTES:
        raise ValueError(f"its tensors take {size} bytes")
    _announce(file, size)
    data = bytearray()
    with _bar(progress, [])(total=size, unit="B", unit_scale=True, desc=file.filename) as bar:
        for begin, end in _runs([entry["data_offsets"] for entry in wanted.values()]):
            for first_byte in range(begin, end, _LARGEST_READ):
                piece = _read_range(file, start + first_byte, start + min(end, first_byte + _LARGEST_READ))
                data += piece
                bar.update(len(piece))
    position = 0
    for entry in wanted.values():
        begin, end = entry["data_offsets"]
        entry["data_offsets"] = [position, position := position + end - begin]
    text = json.dumps(wanted).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def _runs(offsets: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Intervals in ascending order, joined where one begins at the other's end, so that requests are few."""
    runs: list[tuple[int, int]] = []
    for begin, end in offsets:
        if runs and runs[-1][1] == begin:
            begin, _ = runs.pop()
        runs.append((begin, end))
    return runs


def _read_range(file: HubFile, begin: int, end: int) -> bytes:
    """Bytes ``begin`` to ``end`` of a file, fewer only where the file ends."""
    headers = build_hf_headers() | {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
    response = http_backoff("GET", file.url, max_retries=2, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
    hf_raise_for_status(response)
    if response.status_code != 206:
        raise HubError(f"{file} cannot be read in parts: {constants.ENDPOINT} does not serve byte ranges.")
    return response.content


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bar(progress: Progress, stops: list[BaseException]) -> type[tqdm]:
    """huggingface_hub's bar in the terminal, which reports to a callback besides, even where it is not shown. What the
    callback raises is put into ``stops`` too, since hf_xet, which calls from a thread of its own, drops it."""
    reached = 0.0

    class Bar(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            nonlocal reached
            if self.disable:
                self.n += n
            shown = super().update(n)
            if self.total and not stops:
                reached = max(reached, min(1.0, self.n / self.total))  # hf_xet has two bars for one file
                try:
                    progress(reached)
                except BaseException as error:
                    stops.append(error)
                    raise
            return shown

    return Bar


def _announce(file: HubFile, size: int) -> None:
    _log.info("Downloading %s from %s (%.1f MB); ADAIN_OFFLINE=1 prevents it.", file, constants.ENDPOINT, size / 1e6)


@contextmanager
def _one_sentence(file: HubFile) -> Iterator[None]:
    """Whatever goes wrong becomes a HubError that says what to do."""
    try:
        if not downloads_allowed():
            raise OfflineModeIsEnabled
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(
            f"{file} was not downloaded before, and ADAIN_OFFLINE or HF_HUB_OFFLINE forbids it now. To get it by hand,"
            f" download {file.url}{_BY_HAND.get(Path(file.filename).suffix, '')}."
        ) from error
    except GatedRepoError as error:
        raise HubError(f"{file} is gated: ask for access on the repository's page, then {_LOGIN}.") from error
    except RepositoryNotFoundError as error:
        raise HubError(f"{file}: there is no such repository, or it is private; check it, or {_LOGIN}.") from error
    except RevisionNotFoundError as error:
        raise HubError(f"{file}: the repository has no revision '{file.revision}'.") from error
    except LocalEntryNotFoundError as error:
        raise HubError(f"{file} cannot be downloaded: {constants.ENDPOINT} does not answer.") from error
    except EntryNotFoundError as error:
        raise HubError(f"{file}: the repository has no such file at this revision.") from error
    # Before version 1 huggingface_hub followed redirects by recursion.
    except (HFValidationError, OSError, RecursionError, _NETWORK_ERROR) as error:
        if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
            raise HubError(f"{file}: {constants.ENDPOINT} refuses access; {_LOGIN}.") from error
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise HubError(
            f"{file} cannot be downloaded from {constants.ENDPOINT}: {lines[0].rstrip('.')}. Check the network and the"
            " room in HF_HOME."
        ) from error
