"""Files that are either whole or not there."""

from __future__ import annotations

import logging
import os
import secrets
from functools import cache
from pathlib import Path

FORMAT = "adain-1"
"""The version of this package's .safetensors files, in the metadata of each."""

MAX_BYTES = 2**31
"""No weights file is larger; what is gets refused before anything is read."""

_log = logging.getLogger(__name__)


@cache
def log_passed_over(reason: str) -> None:
    """Warn, once, that a file among others is not used; the reason is a sentence that names it."""
    _log.warning("%s It is passed over.", reason)


def unique_beside(path: Path) -> Path:
    """A name for a file that becomes ``path``: in its folder, with its suffix, of no other process, and short enough
    wherever the name itself is."""
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name holds either the old content or all of the new.

    Raises:
        OSError: there is no room or no right to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unique_beside(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
