"""Publishing to a server of our own that speaks the needed part of the Hub's protocol."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.helpers import ROOT
from training import fit
from training.publish import main

TOKEN = "hf_" + "x" * 34


class Hub(ThreadingHTTPServer):
    """Repositories in memory: what was committed to them, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers create, validate-yaml, preupload (every file goes into the commit itself) and commit."""

    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"error": "Invalid credentials"})
        elif self.path == "/api/repos/create":
            request = json.loads(body)
            name = f"{request['organization']}/{request['name']}"
            self.server.repositories.setdefault(name, {})
            self.answer(200, {"url": f"{self.server.url}/{name}"})
        elif self.path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            self.answer(200, {"files": files})
        elif "/commit/" in self.path:
            name = "/".join(self.path.split("/")[3:5])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.repositories[name][line["value"]["path"]] = content
            self.answer(200, {"commitUrl": f"{self.server.url}/{name}/commit/1", "commitOid": "1"})
        else:
            self.answer(404, {"error": self.path})

    def do_GET(self) -> None:
        self.answer(404, {"error": self.path})

    def answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(tmp_path: Path, fit_arguments: Callable[..., list[str]]) -> Path:
    arguments = fit_arguments(tmp_path / "run", "steps=1", "license=mit", recipe="norm-instance")
    assert fit.main(arguments) == 0
    return tmp_path / "run"


def publish(hub: str, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, since huggingface_hub reads its environment once."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "training.publish", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_run_is_uploaded_with_a_card(hub: Hub, run: Path) -> None:
    result = publish(hub.url, TOKEN, str(run), "--repo", "someone/adain-test")
    assert result.returncode == 0, result.stderr
    assert "/someone/adain-test/commit/" in result.stdout
    files = hub.repositories["someone/adain-test"]
    assert set(files) == {"run.safetensors", "styles/run.safetensors", "README.md", "log.csv", "curves.png"}
    assert files["run.safetensors"] == (run / "run.safetensors").read_bytes()
    card = files["README.md"].decode()
    assert "license: mit" in card
    assert "run.safetensors" in card
    assert str(run.parent) not in card


def test_a_refusal_is_one_sentence(hub: Hub, run: Path) -> None:
    result = publish(hub.url, "hf_wrong", str(run), "--repo", "someone/adain-test")
    assert result.returncode == 2
    assert "someone/adain-test cannot be filled" in result.stderr
    assert "Traceback" not in result.stderr
    assert not hub.repositories


def test_what_cannot_be_published(
    run: Path, tmp_path: Path, fit_arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--repo", "someone/x"]) == 2
    assert "holds no .safetensors file" in capsys.readouterr().err
    assert fit.main(fit_arguments(tmp_path / "unlicensed", "steps=1")) == 0
    assert main([str(tmp_path / "unlicensed"), "--repo", "someone/x"]) == 2
    assert "--license" in capsys.readouterr().err
