"""Files that are either whole or not there."""

from __future__ import annotations

import logging
import os
import tempfile
from functools import cache
from pathlib import Path

FORMAT = "adain-1"
"""The version of this package's .safetensors files, in the metadata of each."""

MAX_BYTES = 2**31
"""No weights file is larger; what is gets refused before anything is read."""

# The system tells the mask only to who sets one.
_UMASK = os.umask(0)
os.umask(_UMASK)

_log = logging.getLogger(__name__)


@cache
def log_passed_over(reason: str) -> None:
    """Warn, once, that a file among others is not used; the reason is a sentence that names it."""
    _log.warning("%s It is passed over.", reason)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name holds either the old content or all of the new.

    Raises:
        OSError: there is no room or no right to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A part of the name: with all of it, a name that just fits would no longer.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_UMASK)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
