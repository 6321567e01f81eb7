"""Operations that torch.save does not write, in both kinds of its files: none is carried out."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from adain_core.models.checkpoint import load_plain_values, read_checkpoint
from adain_core.models.errors import WeightsError

pytestmark = pytest.mark.skipif(torch.__version__ < "2.10", reason="PyTorch before 2.10 is given no torch.save files")

BEGIN = b"\x80\x02}"
DOUBLED = b"X\1\0\0\0k" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
NAME = b"X\1\0\0\0k"


def written(folder: Path, operations: bytes, zipped: bool) -> Path:
    """A checkpoint whose values come from these operations."""
    path = folder / "x.pth"
    torch.save({}, path, _use_new_zipfile_serialization=zipped)
    whole = pickle.dumps({}, protocol=2)
    if not zipped:
        content = path.read_bytes()
        assert whole in content
        path.write_bytes(content.replace(whole, operations, 1))
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, operations if name.endswith("data.pkl") else content)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        (DOUBLED + b"K\1s.", "a tuple of more than 10000 values"),
        (NAME + DOUBLED + b"s.", "a tuple of more than 10000 values"),
        (b")" + b"\x85" * 10**6 + b"K\1s.", "a tuple of more than 10000 values"),
        (NAME + b"(" + b"K\1" * 10001 + b"ts.", "a tuple of more than 10000 values"),
        (NAME + b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85Rs.", "calls a function that no weights need"),
        (NAME + b"c_codecs\nencode\nX\1\0\0\0aX\4\0\0\0idna\x86Rs.", "calls a function that no weights need"),
        (NAME + b"]" * 10**6 + b"s.", "more than 1000000 operations"),
        (b"]q\0\x85q\1h\0h\1a0h\1K\1s.", "does not write the operation b'0'"),
        (b"]q\0h\0a\x85K\1s.", "unhashable type: 'list'"),
        (b"h\x09s.", "it is damaged"),
        (b"\x87s.", "it is damaged"),
        (b"t.", "it is damaged"),
        (b"K", "(it is damaged|does not write the operation)"),  # in a stream, what comes next belongs to it
        (NAME + b"ctorch\nFloatTensor\nJ\0\xe1\xf5\x05\x85Rs.", "claims more numbers than the file holds"),
        (NAME + b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n)Rs.", "calls a function that no weights need"),
    ],
)
def test_operations_that_ask_for_more_than_their_bytes_suggest(tmp_path, zipped, operations, reason):
    path = written(tmp_path, BEGIN + operations, zipped)
    with pytest.raises(WeightsError, match=rf"x\.pth cannot be read.*{reason}"):
        read_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_values_in_other_values_more_than_once_are_read(tmp_path, zipped):
    pair, numbers = (1, "a"), [2.5, None]
    state = {"pairs": [pair, pair, (pair, pair)], "numbers": (numbers, numbers), "flat": tuple(range(3000))}
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert load_plain_values(tmp_path / "x.pth") == state


@pytest.mark.parametrize("zipped", [True, False])
def test_a_list_that_holds_itself_is_no_tensor(tmp_path, zipped):
    endless: list = []
    endless.append(endless)
    torch.save({"x": endless, "w": torch.ones(1)}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert set(read_checkpoint(tmp_path / "x.pth")) == {"w"}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"n" * 1001: torch.ones(1)}, "a name of more than 1000 characters"),
        ({"a": {"b": torch.ones(1)}, "a.b": torch.ones(1)}, "two values of the name 'a.b'"),
        ({1: torch.ones(1), "1": torch.ones(1)}, "two values of the name '1'"),
    ],
)
def test_names_that_are_none(tmp_path, state, reason):
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=reason):
        read_checkpoint(tmp_path / "x.pth")
