"""What goes over the network to and from the Hugging Face Hub: with consent, within bounds of size and time, and with
one sentence for whatever goes wrong.

Of huggingface_hub's functions those are used that leave to the caller what a file is called, how large it may be and
how long it may take: a server says all three, and ``hf_hub_download`` believes it.
"""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TypeVar

from huggingface_hub import constants, get_hf_file_metadata
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

from ..runtime import environment
from ..runtime.files import MAX_BYTES
from ..runtime.progress import Progress, section
from .addresses import HubError, HubFile, without_password

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_READ = 2**21
# Within so many times HF_HUB_DOWNLOAD_TIMEOUT, two minutes if that is not set, an answer or a piece of a file is here.
_PATIENCE = 12
_BY_HAND = {".pth": " and make a .safetensors file of it with 'python -m adain_core convert'"}
_LOGIN = "log in with 'hf auth login' or HF_TOKEN"
# huggingface_hub has used several HTTP libraries; the error that its own one extends covers what the network does.
_NETWORK_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


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


def ask(file: HubFile, progress: Progress) -> tuple[int, str | None]:
    """The size of a file in bytes, and the SHA-256 that it must have, where that is known.

    Raises:
        HubError: the Hub does not answer, the file is empty or too large, or is another one than its preset says.
    """
    metadata = _in_time(
        file, partial(get_hf_file_metadata, file.url, timeout=constants.HF_HUB_ETAG_TIMEOUT), section(progress, 0, 0)
    )
    if not metadata.size or not 0 < metadata.size <= MAX_BYTES:
        raise HubError(f"{file} has {metadata.size} bytes; expected weights of at most {MAX_BYTES}.")
    announced = metadata.etag if _SHA256.fullmatch(metadata.etag or "") else None
    if file.sha256 and announced and announced != file.sha256:
        raise HubError(f"{file} is another file than it was: the Hub says that its SHA-256 is {announced}.")
    return metadata.size, file.sha256 or announced


def pieces(file: HubFile, spans: Sequence[tuple[int, int]], progress: Progress) -> Iterator[bytes]:
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


def _shown(size: int | None) -> str:
    return f"at most {MAX_BYTES / 1e9:.1f} GB" if size is None else f"{size / 1e6:.0f} MB"


def announce(file: HubFile, size: int) -> None:
    """Say in the log what is downloaded, from where, and what prevents it."""
    endpoint = without_password(constants.ENDPOINT)
    _log.info("Downloading %s from %s (%.1f MB); ADAIN_OFFLINE=1 prevents it.", file, endpoint, size / 1e6)


@contextmanager
def one_sentence(file: HubFile) -> Iterator[None]:
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
