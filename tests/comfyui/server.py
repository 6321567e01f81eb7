"""A real ComfyUI on the CPU, with this pack alone in its custom_nodes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.helpers import ROOT

_READY_SECONDS = 600
_POLL_SECONDS = 0.1


class Server:
    """A server below a folder of its own.

    Args:
        comfyui: the folder of ComfyUI, with main.py in it.
        base: an empty folder for its inputs, outputs and models.
        name: what the pack's folder in custom_nodes is called.
        examples: whether the example pictures are in the input folder at the start.
    """

    def __init__(self, comfyui: Path, base: Path, name: str, examples: bool = True) -> None:
        (base / "custom_nodes").mkdir(parents=True)
        (base / "custom_nodes" / name).symlink_to(ROOT, target_is_directory=True)
        self.input = base / "input"
        self.input.mkdir()
        if examples:
            shutil.copytree(ROOT / "workflows" / "examples", self.input, dirs_exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.base = base
        self.log = base / "server.log"
        flags = "--cpu --disable-auto-launch --disable-api-nodes --disable-all-custom-nodes --whitelist-custom-nodes"
        # Its own interpreter, where ComfyUI does not live in the environment of the tests.
        command = [os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", *flags.split(), name]
        command += ["--port", str(port), "--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=comfyui, stdout=log, stderr=log, env=environment)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.get("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(_POLL_SECONDS)
        self.stop()
        raise RuntimeError(f"ComfyUI did not start:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if answer.headers.get_content_type() == "application/json" else body

    def post(self, path: str, data: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(data).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def queue(self, workflow: dict[str, Any]) -> str:
        """Queue an API-format workflow; the id of the run."""
        answer = self.post("/prompt", {"prompt": workflow})
        assert "prompt_id" in answer, answer
        return answer["prompt_id"]

    def wait(self, run: str, seconds: float = 600) -> dict[str, Any]:
        """The history of a run when it is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            history = self.get(f"/history/{run}")
            if run in history:
                return history[run]
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"The run did not end within {seconds} seconds.")
