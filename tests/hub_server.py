"""A small server that speaks the Hub's protocol for files: /resolve with HEAD, redirects to storage, and Range."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c" * 40
LARGE_DIGEST = "e" * 64
"""Said of files that would take long to hash."""


@dataclass
class Hub:
    """What the server has, what goes wrong, and what it was asked.

    Args:
        files: by the path of their address, such as ``/owner/name/resolve/main/file`` or ``/spaces/owner/...``.
        token: only who sends it is served.
        status: answer everything with this HTTP status and ``X-Error-Code``.
        loop: redirect to the address itself.
        delay: seconds before each answer.
        cut: send only so many bytes of a body and close the connection.
        cuts: how many times.
        shorten: say that the body is shorter than the file is.
        headers: for every answer, over the right ones.
        storage: the status of every answer of the storage.
        trickle: seconds between the bytes of a body.
        endless: send a body without end, in chunks.
        ranges: whether parts of files are served.
    """

    files: dict[str, Path] = field(default_factory=dict)
    token: str | None = None
    status: tuple[int, str] | None = None
    loop: bool = False
    delay: float = 0
    cut: int | None = None
    cuts: int = 0
    shorten: int = 0
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    storage: int | None = None
    trickle: float = 0
    endless: bool = False
    requests: list[str] = field(default_factory=list)
    tokens: dict[str, str | None] = field(default_factory=dict)
    served: int = 0
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, address: str, content: Path | bytes, folder: Path) -> None:
        """Serve a file, as ``owner/name/file@revision`` or ``spaces/owner/name/file@revision``."""
        if isinstance(content, bytes):
            path = folder / f"served-{len(self.files)}"
            path.write_bytes(content)
            content = path
        path, _, revision = address.partition("@")
        parts = path.split("/")
        repository = 3 if parts[0] == "spaces" else 2
        resolve = "/".join([*parts[:repository], "resolve", revision or "main", *parts[repository:]])
        self.files[f"/{resolve}"] = content


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        hub: Hub = self.server.hub
        hub.requests.append(f"{self.command} {self.path}")
        token = self.headers.get("Authorization")
        time.sleep(hub.delay)
        if self.path.startswith("/storage/"):
            hub.tokens["storage"] = token
            if hub.storage:
                return self._send(hub.storage, {})
            return self._send_file(hub.files[self.path.removeprefix("/storage")])
        hub.tokens["hub"] = token
        if hub.status:
            return self._send(hub.status[0], {"X-Error-Code": hub.status[1]})
        if hub.token and token != f"Bearer {hub.token}":
            return self._send(401, {"X-Error-Message": "Invalid username or password."})
        if hub.loop:
            return self._send(302, {"Location": self.path})
        if self.path not in hub.files:
            known = any(path.split("/resolve/")[0] == self.path.split("/resolve/")[0] for path in hub.files)
            return self._send(404, {"X-Error-Code": "EntryNotFound" if known else "RepoNotFound"})
        path = hub.files[self.path]
        large = path.stat().st_size > 2**27
        digest = LARGE_DIGEST if large else hashlib.sha256(path.read_bytes()).hexdigest()
        revision = self.path.split("/resolve/")[1].split("/")[0]
        return self._send(
            302,
            {
                "X-Repo-Commit": revision if len(revision) == 40 else COMMIT,
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(path.stat().st_size),
                # Another name of the same machine: the token must not be sent there.
                "Location": f"http://localhost:{hub.port}/storage{self.path}",
            },
        )

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"", length: int | None = None) -> None:
        hub: Hub = self.server.hub
        self.send_response(status)
        for key, value in (headers | hub.headers).items():
            self.send_header(key, value)
        if self.command == "GET" and hub.endless and status < 300:
            return self._send_for_ever()
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "GET" and hub.trickle:
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(hub.trickle)
        elif self.command == "GET":
            hub.served += len(body)
            self.wfile.write(body)

    def _send_for_ever(self) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = bytes(2**16)
        while True:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.server.hub.served += len(chunk)

    def _send_file(self, path: Path) -> None:
        hub: Hub = self.server.hub
        size = path.stat().st_size
        begin, end, status, headers = 0, size, 200, {}
        if hub.ranges and (wanted := self.headers.get("Range", "").removeprefix("bytes=")):
            first, last = wanted.split("-")
            begin, end, status = int(first), min(size, int(last or size) + 1), 206
            headers = {"Content-Range": f"bytes {begin}-{end - 1}/{size}"}
        with path.open("rb") as file:
            file.seek(begin)
            body = file.read(end - begin)
        if hub.cuts and hub.cut is not None:
            hub.cuts -= 1
            self.close_connection = True
            return self._send(status, headers, body[: hub.cut], len(body))
        return self._send(status, headers, body[: len(body) - hub.shorten])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no matter."""


def serve(hub: Hub) -> _Server:
    """Start serving in a thread; ``shutdown`` ends it."""
    server = _Server(("", 0), _Handler)
    server.hub = hub
    hub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def part_files(tmp_path: Path) -> list[Path]:
    """Everything under the caches that is not whole."""
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and ".locks" not in path.parts]
    return [path for path in files if "incomplete" in path.name or ".part" in path.name or ".download" in str(path)]
