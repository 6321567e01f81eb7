"""``adain stylize`` among other programs: ``-`` is stdin and stdout."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
import torch

from adain_core.cli import main
from adain_core.images.files import read_picture, write_picture
from adain_core.images.pictures import Origin, Picture
from tests.helpers import random_picture


class Stream(io.BytesIO):
    """The bytes of stdin or stdout."""

    def __init__(self, data: bytes = b"", terminal: bool = False) -> None:
        super().__init__(data)
        self.buffer = self
        self.isatty = lambda: terminal


@pytest.fixture
def streams(monkeypatch):
    """Puts bytes on stdin, which is closed for None, and gives what comes out on stdout."""

    def put(data: bytes | None = b"", terminal: bool = False) -> Stream:
        out = Stream(terminal=terminal)
        stdin = None if data is None else Stream(data)
        monkeypatch.setattr("adain_core.cli.stylize.sys", SimpleNamespace(stdin=stdin, stdout=out))
        return out

    return put


def test_a_picture_comes_on_stdin_and_its_result_goes_to_stdout(streams, photo, painting, tmp_path, capsys):
    assert main(["stylize", str(photo), str(painting), "-o", str(tmp_path / "out.png"), "--device", "cpu"]) == 0
    capsys.readouterr()
    out = streams(photo.read_bytes())
    assert main(["stylize", "-", str(painting), "-o", "-", "--device", "cpu"]) == 0
    assert out.getvalue() == (tmp_path / "out.png").read_bytes()
    assert capsys.readouterr().out == ""  # what is printed there would be part of the picture


def test_16_bits_and_transparency_pass_through(streams, painting, tmp_path):
    content = Picture(random_picture(40, 56), random_picture(40, 56, seed=2)[:, :1], Origin(16))
    write_picture(content, tmp_path / "deep.png")
    out = streams((tmp_path / "deep.png").read_bytes())
    assert main(["stylize", "-", str(painting), "-o", "-", "--device", "cpu"]) == 0
    result = read_picture(out.getvalue())
    assert result.origin.bits == 16
    torch.testing.assert_close(result.opacity, content.opacity, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("data", "arguments", "terminal", "words"),
    [
        (b"", "- {style} -o -", False, "Nothing came on stdin"),
        (None, "- {style} -o -", False, "Nothing came on stdin"),
        (b"endless" * 1000, "- {style} -o -", False, "More than 5000 bytes came on stdin"),
        (b"no picture", "- {style} -o -", False, "cannot be read as an image"),
        (b"", "{folder} {style} -o -", False, "name a folder"),
        (b"", "{photo} {style} -o -", True, "name a file"),
    ],
)
def test_what_cannot_stream_is_refused(
    streams, photo, painting, tmp_path, capsys, monkeypatch, data, arguments, terminal, words
):
    monkeypatch.setattr("adain_core.cli.stylize._LARGEST_INPUT", 5000)
    out = streams(data, terminal)
    given = arguments.format(style=painting, photo=photo, folder=tmp_path)
    assert main(["stylize", *given.split(), "--device", "cpu"]) == 2
    assert words in capsys.readouterr().err
    assert out.getvalue() == b""
