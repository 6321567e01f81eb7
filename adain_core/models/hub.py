"""Files on the Hugging Face Hub: whole ones, or some tensors of a large one.

huggingface_hub does the work, so its users' settings hold: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE,
HF_HUB_DOWNLOAD_TIMEOUT, HF_HUB_DISABLE_PROGRESS_BARS. ``ADAIN_OFFLINE=1`` switches downloads off for this package
alone; what was downloaded before is still used. Every download is announced in the log before it starts. A program
that is told by strangers what to download asks for :func:`consent` first.

Of its functions those are used that leave to the caller what a file is called, how large it may be and how long it may
take: a server says all three, and ``hf_hub_download`` believes it.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TypeVar

from huggingface_hub import cached_assets_path, constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    build_hf_headers,
    tqdm,
)
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from ..runtime import environment
from ..runtime.files import FORMAT, MAX_BYTES, atomic_file
from ..runtime.progress import Progress, ignore_progress, section
from .errors import WeightsError

REPOSITORY = environment.repository()
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
# Within so many times HF_HUB_DOWNLOAD_TIMEOUT, two minutes if that is not set, an answer or a piece of a file is here.
_PATIENCE = 12
_SECRET = re.compile(r"(?<=://)[^/\s@]+@")
_BY_HAND = {".pth": " and make a .safetensors file of it with 'python -m adain_core convert'"}
_LOGIN = "log in with 'hf auth login' or HF_TOKEN"
# huggingface_hub has used several HTTP libraries; the error that its own one extends covers what the network does.
_NETWORK_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class HubError(WeightsError):
    """A file cannot be had from the Hub; the message says which, why and what to do, without the password that
    HF_ENDPOINT may have."""

    def __init__(self, message: str) -> None:
        super().__init__(_without_password(message))


@dataclass(frozen=True)
class HubFile:
    """One file of a repository.

    Args:
        repo_id: owner/name.
        filename: its path in the repository.
        revision: a branch, a tag or, so that the file can never change, a commit's 40 hex digits.
        repo_type: ``model`` or ``space``.
        sha256: of its content, where known; the Hub's own is checked anyway, where it has one.
        size: of what is transferred, in bytes, where known.
    """

    repo_id: str
    filename: str
    revision: str = "main"
    repo_type: str = "model"
    sha256: str | None = None
    size: int | None = None

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

    def kept_in(self, folder: Path) -> Path:
        """Where :func:`download` puts it."""
        names = [self.repo_type, *self.repo_id.split("/"), *self.revision.split("/")]
        return folder / "--".join(names) / self.filename

    def cached(self) -> Path | None:
        """The copy of an earlier :func:`download`, or that in huggingface_hub's own cache, if there is one."""
        path = self.kept_in(cache_folder())
        if path.is_file():
            return path
        try:
            known = try_to_load_from_cache(
                self.repo_id, self.filename, revision=self.revision, repo_type=self.repo_type
            )
        except HFValidationError:
            return None
        return Path(known) if isinstance(known, str) else None


class _NoConsent(Exception):
    """Nobody has said that this may be downloaded."""


_consent: ContextVar[Path | None] = ContextVar("consent", default=None)


@contextmanager
def consent(file: Path) -> Iterator[None]:
    """Within the block nothing is downloaded, nor the Hub asked, unless the user of this machine has set
    ADAIN_ALLOW_DOWNLOADS=1 or made this file. What was downloaded before is used."""
    token = _consent.set(file)
    try:
        yield
    finally:
        _consent.reset(token)


def _lacks_consent() -> bool:
    file = _consent.get()
    return file is not None and not (environment.allows_downloads() or file.exists())


def downloads_allowed() -> bool:
    """Whether neither ADAIN_OFFLINE nor HF_HUB_OFFLINE is set, and there is :func:`consent` where it is needed."""
    return not (environment.is_offline() or constants.HF_HUB_OFFLINE or _lacks_consent())


def cache_folder() -> Path:
    """Where this package keeps what it made of files from the Hub, among the Hub's other caches (HF_HOME).

    Raises:
        HubError: the folder cannot be made.
    """
    try:
        return cached_assets_path("comfyui-adain", "encoders", FORMAT, assets_dir=constants.HF_ASSETS_CACHE)
    except (OSError, ValueError) as error:
        raise HubError(f"There is no folder to keep downloads in: {error}. HF_HOME names another place.") from error


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
    with _one_sentence(file):
        size, expected = _ask(file, progress)
        if earlier and expected and hash_of(earlier) == expected:
            return earlier
        _announce(file, size)
        path, digest = file.kept_in(folder), hashlib.sha256()
        with atomic_file(path) as temporary:
            with temporary.open("wb") as target:
                for piece in _pieces(file, [(0, size)], progress):
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
        with _one_sentence(file):
            return load(_excerpt(file, names, progress))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, HubError):
            raise
        raise HubError(f"{file} is damaged or not what was expected: {error}.") from error


def _excerpt(file: HubFile, names: Collection[str], progress: Progress) -> bytes:
    """A smaller .safetensors file with some tensors of a large one."""
    whole, _ = _ask(file, progress)
    first = b"".join(_pieces(file, [(0, min(whole, _FIRST_READ))], ignore_progress))
    length = int.from_bytes(first[:8], "little")
    if length > min(whole, _MAX_HEADER):
        raise HubError(f"{file} is no .safetensors file: it begins with a header of {length} bytes.")
    start = 8 + length
    if start > len(first):
        first += b"".join(_pieces(file, [(len(first), start)], ignore_progress))
    header = json.loads(first[8:start])
    wanted = {name: dict(header[name]) for name in sorted(names, key=lambda name: header[name]["data_offsets"])}
    offsets = [entry["data_offsets"] for entry in wanted.values()]
    if not all(0 <= begin <= end <= whole - start for begin, end in offsets):
        raise ValueError("its header speaks of bytes that it does not have")
    _announce(file, sum(end - begin for begin, end in offsets))
    spans = [(start + begin, start + end) for begin, end in _runs(offsets)]
    data = b"".join(_pieces(file, spans, progress))
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


def _ask(file: HubFile, progress: Progress) -> tuple[int, str | None]:
    """The size of a file, and the SHA-256 that it must have, where that is known."""
    metadata = _in_time(
        file, partial(get_hf_file_metadata, file.url, timeout=constants.HF_HUB_ETAG_TIMEOUT), section(progress, 0, 0)
    )
    if not metadata.size or not 0 < metadata.size <= MAX_BYTES:
        raise HubError(f"{file} has {metadata.size} bytes; expected weights of at most {MAX_BYTES}.")
    announced = metadata.etag if _SHA256.fullmatch(metadata.etag or "") else None
    if file.sha256 and announced and announced != file.sha256:
        raise HubError(f"{file} is another file than it was: the Hub says that its SHA-256 is {announced}.")
    return metadata.size, file.sha256 or announced


def _pieces(file: HubFile, spans: Sequence[tuple[int, int]], progress: Progress) -> Iterator[bytes]:
    """The bytes of a file from the first of each span to before its second, bit by bit."""
    total, done = sum(end - begin for begin, end in spans), 0
    steps = [(i, min(end, i + _LARGEST_READ)) for begin, end in spans for i in range(begin, end, _LARGEST_READ)]
    with tqdm(total=total, unit="B", unit_scale=True, desc=file.filename) as bar:
        for begin, end in steps:
            piece = _Piece(file, end - begin)
            headers = build_hf_headers() | {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
            read = partial(http_get, file.url, piece, headers=headers, expected_size=piece.size, _tqdm_bar=bar)
            _in_time(file, read, section(progress, done / total, (done := done + piece.size) / total))
            yield piece.getvalue()
    progress(1.0)


class _Piece(io.BytesIO):
    """Bytes of a file as they come in; more than were asked for are an error at once."""

    def __init__(self, file: HubFile, size: int) -> None:
        super().__init__()
        self.file, self.size = file, size

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > self.size:
            raise HubError(
                f"{self.file} cannot be read in parts: {constants.ENDPOINT} sends more than the {self.size} bytes that"
                " were asked for."
            )
        return super().write(data)


def _in_time(file: HubFile, work: Callable[[], Result], progress: Progress) -> Result:
    """Do what a server could drag out for ever, by its silence, by a byte now and then or by asking to come back in a
    year; the callback is called several times a second, and may end it."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    seconds = _PATIENCE * constants.HF_HUB_DOWNLOAD_TIMEOUT
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        progress(0.0)
        try:
            return future.result(timeout=0.1)
        except TimeoutError:
            if future.done():
                raise
    raise HubError(
        f"{file} cannot be downloaded from {constants.ENDPOINT}: nothing came for {seconds:g} s. Try later, or set"
        " HF_HUB_DOWNLOAD_TIMEOUT higher."
    )


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(size: int | None) -> str:
    return f"at most {MAX_BYTES / 1e9:.1f} GB" if size is None else f"{size / 1e6:.0f} MB"


def _announce(file: HubFile, size: int) -> None:
    endpoint = _without_password(constants.ENDPOINT)
    _log.info("Downloading %s from %s (%.1f MB); ADAIN_OFFLINE=1 prevents it.", file, endpoint, size / 1e6)


def _without_password(text: str) -> str:
    return _SECRET.sub("", text)


def _hide_password(record: logging.LogRecord) -> bool:
    record.msg, record.args = _without_password(record.getMessage()), ()
    return True


# huggingface_hub warns of each request that fails, with its whole address.
for _handler in logging.getLogger("huggingface_hub").handlers:
    _handler.addFilter(_hide_password)


@contextmanager
def _one_sentence(file: HubFile) -> Iterator[None]:
    """Whatever goes wrong becomes a HubError that says what to do. The error behind it, whose text may hold a password,
    is not shown."""
    by_hand = ""
    try:
        by_hand = f"To get it by hand, download {file.url}{_BY_HAND.get(Path(file.filename).suffix, '')}."
        if not downloads_allowed():
            raise _NoConsent if _lacks_consent() else OfflineModeIsEnabled
        yield
    # Before version 1 huggingface_hub followed redirects by recursion.
    except (_NoConsent, OfflineModeIsEnabled, HFValidationError, OSError, RecursionError, _NETWORK_ERROR) as error:
        raise HubError(f"{file}{_reason(file, error, by_hand)}") from None


def _reason(file: HubFile, error: Exception, by_hand: str) -> str:
    match error:
        case _NoConsent():
            return (
                f" ({_shown(file.size)}) was not downloaded before, and that takes your consent: make an empty file"
                f" {_consent.get()}, or set ADAIN_ALLOW_DOWNLOADS=1 in the environment and start anew. {by_hand}"
            )
        case OfflineModeIsEnabled():
            return f" was not downloaded before, and ADAIN_OFFLINE or HF_HUB_OFFLINE forbids it now. {by_hand}"
        case GatedRepoError():
            return f" is gated: ask for access on the repository's page, then {_LOGIN}."
        case RepositoryNotFoundError():
            return f": there is no such repository, or it is private; check it, or {_LOGIN}."
        case RevisionNotFoundError():
            return f": the repository has no revision '{file.revision}'."
        case EntryNotFoundError():
            return ": the repository has no such file at this revision."
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        return f": {constants.ENDPOINT} refuses access; {_LOGIN}."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f" cannot be downloaded from {constants.ENDPOINT}: {lines[0].rstrip('.')}. Check the network and the room in"
        " HF_HOME."
    )
