"""Sound files and command lines with random damage: each is read, or refused by its reader's own error in one sentence,
soon and without taking much memory.

    pytest tests/fuzz --fuzz-seconds 3600 --fuzz-seed 7

A failure names the case; the same seed gives the same cases in the same order.
"""

from __future__ import annotations

import io
import json
import os
import random
import shlex
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image

from adain_core.cli import main, make_parser
from adain_core.images.files import ImageError, read_picture, write_picture
from adain_core.images.pictures import Picture
from adain_core.models.checkpoint import read_checkpoint
from adain_core.models.errors import WeightsError
from adain_core.models.weights import Weights, load_weights, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.runtime.terminal import printable
from adain_core.styles.files import StyleFileError
from adain_core.styles.stats import StyleStats
from tests.helpers import random_picture, tiny_model

SECONDS = 30
"""For one case; a busy machine takes a hundred times as long as an idle one."""
MEMORY = 2**30

STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Kind:
    """A kind of file: sound ones, how they are read, and the error that refuses the others."""

    read: Callable[[Path], object]
    error: type[Exception]
    make: dict[str, Callable[[Path], object]]


def state() -> dict[str, torch.Tensor]:
    return Encoder((2, 2, 2, 2)).state_dict()


def save_image(**options: object) -> Callable[[Path], None]:
    picture = Image.new("RGBA", (12, 9), (200, 30, 40, 90))
    return lambda path: picture.convert("RGB" if path.suffix == ".jpg" else "RGBA").save(path, **options)


KINDS = {
    "pictures": Kind(
        read_picture,
        ImageError,
        {
            "a.png": save_image(),
            "b.jpg": save_image(quality=90, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"),
            "c.webp": save_image(),
            "d.tif": save_image(compression="tiff_lzw"),
            "e.bmp": save_image(),
        },
    ),
    "styles": Kind(
        StyleStats.load,
        StyleFileError,
        {
            "plain.safetensors": lambda path: tiny_model().compute_style_stats(random_picture(20, 20)).save(path),
            "detail.safetensors": lambda path: (
                tiny_model().compute_style_stats(random_picture(9, 9), detail=("covariance", "quantiles")).save(path)
            ),
        },
    ),
    "weights": Kind(
        load_weights,
        WeightsError,
        {
            "model.safetensors": lambda path: save_weights(Weights("s", Encoder((2,) * 4), Decoder((2,) * 4)), path),
            "decoder.safetensors": lambda path: save_weights(Weights("s", decoder=Decoder((2,) * 4)), path),
        },
    ),
    "checkpoints": Kind(
        read_checkpoint,
        WeightsError,
        {
            "zip.pth": lambda path: torch.save(state(), path),
            "stream.pth": lambda path: torch.save(state(), path, _use_new_zipfile_serialization=False),
            "nested.pt": lambda path: torch.save({"net": state(), "step": 3, "rates": [0.1, None, "x"]}, path),
        },
    ),
}


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A file with one to eight changes, most of them near its beginning, where lengths and shapes are."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(max(1, min(len(data), chance.choice([16, 300, 3000, len(data) or 1]))))
        match chance.randrange(7):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                data[place : place + 4] = chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1]).to_bytes(4, "little")
            case 2:
                data[place : place + 8] = chance.choice([0, 2**40, 2**63, 2**64 - 1]).to_bytes(8, "little")
            case 3:
                del data[place : place + chance.randint(1, 64)]
            case 4:
                data[place:place] = chance.randbytes(chance.randint(1, 64))
            case 5:
                data[place:place] = data[place : place + chance.randint(1, 256)]
            case 6:
                digits = [i for i, byte in enumerate(data[:3000]) if 48 <= byte < 58]
                if digits:
                    data[chance.choice(digits)] = 48 + chance.randrange(10)
    return bytes(data[: chance.choice([len(data), len(data), len(data), chance.randint(0, len(data))])])


TYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I8", "U8", "BOOL", "C64", "F4", "NONE")
SIZES = (0, 1, 2, 3, 2**31, 2**40, 2**63, -1, 1.5, None)
NUMBERS = (float("nan"), float("inf"), -float("inf"), 3e38, 1e-45, -1.0)


def forged(content: bytes, chance: random.Random) -> bytes:
    """A .safetensors file whose header is well formed and lies, or whose numbers are none."""
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    double = ""
    for _ in range(chance.randint(1, 4)):
        names = [name for name in header if name != "__metadata__"]
        if not names:
            break
        entry = header[name := chance.choice(names)]
        match chance.randrange(9):
            case 0:
                entry["dtype"] = chance.choice(TYPES)
            case 1:
                entry["shape"] = [chance.choice(SIZES) for _ in range(chance.randint(0, 5))]
            case 2:
                entry["data_offsets"] = chance.choice([header[chance.choice(names)]["data_offsets"], [0, 0], [8, 4]])
            case 3:
                entry["data_offsets"] = [0, chance.choice([len(data), len(data) + 4, 2**40])]
            case 4:
                header[chance.choice([name + "x", "\x1b[2J\n", "n" * 10**6, "", "relu4_1"])] = header.pop(name)
            case 5:
                double += f",{json.dumps(name)}:{json.dumps(header[chance.choice(names)])}"
            case 6 if data:
                place = chance.randrange(0, len(data), 4)
                data[place : place + 4] = struct.pack("<f", chance.choice(NUMBERS))
            case 7 if isinstance(metadata := header.get("__metadata__"), dict) and metadata:
                key = chance.choice(list(metadata))
                metadata[key] = chance.choice(["", "0", "-1", "9" * 5000, "1,1,1,1", "nan", "\x1b[2J", "concat-both"])
            case 8:
                header["__metadata__"] = chance.choice([None, {}, [], {"format": 1}, "text"])
    text = json.dumps(header)[:-1] + double + "}"
    size = chance.choice([len(text), len(text), len(text), len(text) + 1, len(text) - 1, 0, 2**40])
    return size.to_bytes(8, "little") + text.encode() + data


@contextmanager
def bounded(case: str) -> Iterator[None]:
    """Whatever is done takes neither long nor much memory."""
    start, before = time.monotonic(), resident_bytes()
    yield
    assert time.monotonic() - start < SECONDS, f"{case} took {time.monotonic() - start:.0f} s"
    assert resident_bytes() - before < MEMORY, f"{case} took {resident_bytes() - before} bytes"


def resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if STATM.exists() else 0


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Iterator[tuple[int, random.Random]]:
    """Numbers with their own chance each, for this test's part of the time."""
    seconds = request.config.getoption("--fuzz-seconds") / (len(KINDS) + 1)
    seed = f"{request.config.getoption('--fuzz-seed')} {request.node.name}"

    def numbers() -> Iterator[tuple[int, random.Random]]:
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end or number < 5:
            yield number, random.Random(f"{seed} {number}")
            number += 1
        print(f"{number} cases")

    return numbers()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_damaged_files(kind: Kind, cases: Iterator[tuple[int, random.Random]], tmp_path: Path) -> None:
    sound = {}
    for name, make in kind.make.items():
        make(tmp_path / name)
        sound[name] = (tmp_path / name).read_bytes()
        kind.read(tmp_path / name)
    for number, chance in cases:
        name = chance.choice(list(sound))
        path = tmp_path / f"case-{number}-{name}"
        change = chance.choice([damaged, forged] if path.suffix == ".safetensors" else [damaged])
        path.write_bytes(change(sound[name], chance))
        with bounded(path.name):
            try:
                kind.read(path)
            except kind.error as refusal:
                assert path.name in str(refusal) and len(str(refusal)) < 9000, str(refusal)[:9000]
                assert str(refusal) == printable(str(refusal)), str(refusal)
        path.unlink()  # what fails stays


# None names a place outside the test's own folder that could be written to.
VALUES = (
    *("", "0", "1", "-1", "2", "0.5", "1e308", "-1e308", "nan", "inf", "1e-320", "3,1", "1e308,1e308", ",", "1,,2"),
    *("999999999", "1000000000000", "9" * 400, "0x10", "1_0", "½", "٣", "lite", "auto", "off", "adain", "covariance"),
    *("--", "\x1b[2J", "a\nb", "\udcff", "é" * 150, "/dev/null", "hf://", "hf://a/b/c.safetensors", "-x", "none"),
    *("{photo}", "{photo}", "{style}", "{folder}", "{text}", "{missing}", "{out}", "4x4", "0:{photo}"),
)
CHEAP = {"gatys": ["--iterations", "1", "--size", "16"], "texture": ["--iterations", "1", "--size", "16x16"]}


def command_line(chance: random.Random, names: dict[str, str]) -> list[str]:
    """A command with some of its own options, or others', with values that fit or do not."""
    (commands,) = [action for action in make_parser()._actions if action.choices]
    command = chance.choice(list(commands.choices))
    options = [name for action in commands.choices[command]._actions for name in action.option_strings]
    line = [command]
    for _ in range(chance.randint(0, 6)):
        if chance.random() < 0.6:
            line.append(chance.choice(options))
        line.append(chance.choice(VALUES))
    if chance.random() < 0.7:
        line[1:1] = ["{photo}", "{photo}"][: chance.randint(1, 2)]
    if chance.random() < 0.7:
        line += ["-o", "{out}"]
    return [part.format(**names) if "{" in part else part for part in [*line, *CHEAP.get(command, [])]]


def test_command_lines(
    cases: Iterator[tuple[int, random.Random]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAIN_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    write_picture(Picture(random_picture(20, 24)), tmp_path / "photo.png")
    write_picture(Picture(random_picture(16, 16)), tmp_path / "folder" / "one.png")
    (tmp_path / "text.txt").write_text("text")
    tiny_model().compute_style_stats(random_picture(16, 16)).save(tmp_path / "style.safetensors")
    names = {
        "photo": "photo.png", "style": "style.safetensors", "folder": "folder", "text": "text.txt",
        "missing": "missing.png", "out": "out/result.png",
    }  # fmt: skip
    for number, chance in cases:
        line = command_line(chance, names)
        case = f"case {number}: adain {shlex.join(line).encode(errors='backslashreplace').decode()}"
        out, err = io.StringIO(), io.StringIO()
        with bounded(case), redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(line)
            except SystemExit as end:
                code = end.code
            except Exception as error:
                raise AssertionError(case) from error
        said = err.getvalue()
        assert code in (0, 1, 2), f"{case} ended with {code}"
        assert code == 0 or 1 <= len(said.strip().splitlines()) <= 3, f"{case} said {said}"
        assert "Traceback" not in said and "\x1b[2J" not in said, f"{case} said {said}"
