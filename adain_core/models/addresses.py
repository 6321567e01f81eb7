"""Files on the Hugging Face Hub, by their addresses, and where their copies lie."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import cached_assets_path, constants, hf_hub_url, try_to_load_from_cache
from huggingface_hub.utils import HFValidationError

from ..runtime.environment import repository
from ..runtime.files import FORMAT
from .errors import WeightsError

SCHEME = "hf://"
_ADDRESS = re.compile(
    r"(?:(?P<repo>[\w.-]+/[\w.-]+)/)?(?P<filename>\w[\w./-]*\.safetensors)(?:@(?P<revision>[\w./-]+))?"
)
_SECRET = re.compile(r"(?<=://)[^/\s@]+@")


class HubError(WeightsError):
    """A file cannot be had from the Hub; the message says which, why and what to do, without the password that
    HF_ENDPOINT may have."""

    def __init__(self, message: str) -> None:
        super().__init__(without_password(message))


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
        ``hf://file.safetensors`` is a file of this project's own
        :func:`~adain_core.runtime.environment.repository`.

        Raises:
            HubError: the address is of another form.
        """
        match = _ADDRESS.fullmatch(address.removeprefix(SCHEME))
        if not match or ".." in address:
            raise HubError(
                f"'{address}' is no address on the Hub; expected hf://owner/repo/file.safetensors, with @revision after"
                " it where a certain one is wanted, or hf://file.safetensors from this project's own repository."
            )
        return cls(match["repo"] or repository(), match["filename"], match["revision"] or "main")

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


def cache_folder() -> Path:
    """Where this package keeps what it made of files from the Hub, among the Hub's other caches (HF_HOME).

    Raises:
        HubError: the folder cannot be made.
    """
    try:
        return cached_assets_path("comfyui-adain", "encoders", FORMAT, assets_dir=constants.HF_ASSETS_CACHE)
    except (OSError, ValueError) as error:
        raise HubError(f"There is no folder to keep downloads in: {error}. HF_HOME names another place.") from error


def without_password(text: str) -> str:
    """A text without what an address in it may hold as a secret."""
    return _SECRET.sub("", text)


def _hide_password(record: logging.LogRecord) -> bool:
    record.msg, record.args = without_password(record.getMessage()), ()
    return True


# huggingface_hub warns of each request that fails, with its whole address.
for _handler in logging.getLogger("huggingface_hub").handlers:
    _handler.addFilter(_hide_password)
