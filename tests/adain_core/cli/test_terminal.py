"""What the command line does with signals, closed streams and odd names."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adain_core import cli
from adain_core.cli import stylize
from adain_core.cli.options import progress_bar
from adain_core.images.files import write_picture
from tests.helpers import ROOT, posix


def shell(command: str, *files: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell command in which ``adain`` is this command line and $1, $2, ... the files."""
    script = command.replace("adain", f"{sys.executable} -m adain_core")
    return subprocess.run(
        ["sh", "-c", script, "sh", *map(str, files)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


@posix
def test_closed_streams_change_nothing(photo, painting, tmp_path):
    done = shell("adain stylize $1 $2 -o $3 >&- 2>&-", photo, painting, tmp_path / "out.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_output_is_one_sentence():
    done = shell("adain info --licenses > /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("adain: ") and done.stderr.count("\n") == 1


def test_a_request_to_end_tidies_up_as_ctrl_c_does(run_here, photo, painting, tmp_path, monkeypatch):
    def end_halfway(picture, path):
        monkeypatch.setattr(os, "replace", lambda *_: signal.raise_signal(signal.SIGTERM))
        monkeypatch.setattr(Path, "replace", lambda *_: signal.raise_signal(signal.SIGTERM))
        write_picture(picture, path)

    before = signal.getsignal(signal.SIGTERM)
    out = tmp_path / "results" / "out.png"
    with monkeypatch.context() as patch:
        patch.setattr(stylize, "write_picture", end_halfway)
        done = run_here("stylize", photo, painting, "-o", out)
    assert (done.returncode, done.stderr) == (143, "adain: terminated.\n")
    assert list(out.parent.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c(run_here, photo, painting, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stylize, "read_picture", interrupt)
    done = run_here("stylize", photo, painting, "-o", tmp_path / "out.png")
    assert (done.returncode, done.stderr) == (130, "adain: interrupted.\n")


def test_what_comes_after_two_dashes_is_a_name(photo, tmp_path, monkeypatch):
    args = cli.parse(["stylize", "-o", "out.png", "--alpha", "0.5", "--", "-photo.png", "--style.png"])
    assert (args.content, args.style) == (Path("-photo.png"), [Path("--style.png")])
    assert args.alpha == 0.5
    args = cli.parse(["stylize", "a.png", "-o", "out.png", "--", "b.png"])
    assert (args.content, args.style) == (Path("a.png"), [Path("b.png")])


@pytest.mark.parametrize("option", ["--alpha=--", "--size=--", "-o=--"])
def test_two_dashes_are_no_value(run_here, option):
    done = run_here("stylize", "a.png", "b.png", "-o", "c.png", option)
    assert done.returncode == 2 and "expected a value" in done.stderr and done.stderr.count("\n") == 1


def test_names_cannot_steer_the_terminal(run_here, photo, tmp_path):
    name = "\x1b[2J\nadain: all is well\r\u202e.png"
    refused = run_here("stylize", photo, tmp_path / name, "-o", tmp_path / "out.png")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "\\x1b[2J\\nadain: all is well\\r\\u202e.png" in refused.stderr
    wrong = run_here("stylize", photo, photo, "-o", "x.png", "--si\x1bze", "3")
    assert "\\x1b" in wrong.stderr and "\x1b" not in wrong.stderr


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_progress_bar_shows_the_share_that_is_done(monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with progress_bar("work") as progress:
        for share in (0.25, 0.5):
            time.sleep(0.15)  # more often it is not drawn
            progress(share)
    assert "work:  25%" in screen.getvalue() and "work:  50%" in screen.getvalue()


def test_what_is_told_on_the_way_is_shown(run_here, caplog):
    caplog.set_level(logging.WARNING, "adain_core")
    run_here("styles")
    assert logging.getLogger("adain_core.models.transfers").isEnabledFor(logging.INFO)
