"""Hostile checkpoints: refused in one sentence, soon, and without taking the memory that they ask for."""

import io
import os
import pickle
import struct
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from adain_core.models import checkpoint
from adain_core.models.checkpoint import load_plain_values, read_checkpoint
from adain_core.models.errors import WeightsError

pytestmark = pytest.mark.skipif(torch.__version__ < "2.10", reason="PyTorch before 2.10 is given no torch.save files")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def refusal(path: Path) -> str:
    """Why a file is not read; at once, and at no cost."""
    start, before = time.monotonic(), resident_bytes()
    with pytest.raises(WeightsError) as error:
        read_checkpoint(path)
    assert time.monotonic() - start < 10 and resident_bytes() - before < 2**28
    assert "\n" not in str(error.value) and path.name in str(error.value)
    return str(error.value)


def nested(levels: int, twice: bool) -> dict:
    value: dict = {"x": torch.zeros(1)}
    for _ in range(levels):
        value = {"a": value, "b": value} if twice else {"a": value}
    return value


def test_dictionaries_that_hold_one_another_twice_come_to_an_end(tmp_path):
    torch.save(nested(14, twice=True), tmp_path / "x.pth")
    torch.save(nested(12, twice=True), tmp_path / "y.pth")
    assert len(read_checkpoint(tmp_path / "y.pth")) == 4096
    torch.save({str(i): nested(14, twice=True) for i in range(30)}, tmp_path / "x.pth")
    assert "100000 entries" in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("levels", [17, 60, 400])
@pytest.mark.parametrize("twice", [True, False])
def test_dictionaries_in_dictionaries_are_not_followed_for_ever(tmp_path, levels, twice):
    torch.save(nested(levels, twice), tmp_path / "x.pth")
    refusal(tmp_path / "x.pth")


def test_a_dictionary_that_holds_itself(tmp_path):
    state: dict = {"x": torch.zeros(2)}
    state["self"] = state
    torch.save(state, tmp_path / "x.pth")
    assert "16 dictionaries in a row" in refusal(tmp_path / "x.pth")


def test_nested_dictionaries_have_dots_between_their_keys(tmp_path):
    torch.save({"state": {"conv": {"weight": torch.ones(2)}, "step": 3}, "bias": torch.zeros(1)}, tmp_path / "x.pth")
    tensors = read_checkpoint(tmp_path / "x.pth")
    assert set(tensors) == {"state.conv.weight", "bias"}
    assert torch.equal(tensors["state.conv.weight"], torch.ones(2))


def repacked(path: Path, change) -> None:
    """Write a torch.save file's members again, each by ``change(archive, name, data)``."""
    torch.save({"x": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            change(archive, name, data)


def test_compressed_members_are_not_unpacked(tmp_path):
    def squeeze(archive, name, data):
        archive.writestr(name, data + bytes(2**25), zipfile.ZIP_DEFLATED)

    repacked(tmp_path / "x.pth", squeeze)
    assert (tmp_path / "x.pth").stat().st_size < 2**18
    assert "it is compressed" in refusal(tmp_path / "x.pth")


def test_members_that_are_larger_than_the_file(tmp_path):
    repacked(tmp_path / "x.pth", lambda archive, name, data: archive.writestr(name, data))
    content = (tmp_path / "x.pth").read_bytes()
    directory = content.index(b"PK\x01\x02")
    huge = struct.pack("<I", 2**30)
    (tmp_path / "x.pth").write_bytes(content[: directory + 20] + 2 * huge + content[directory + 28 :])
    assert "unpacks to more bytes than it has" in refusal(tmp_path / "x.pth")


def test_members_that_only_pytorch_finds_are_not_read(tmp_path):
    torch.save({"x": torch.zeros(7)}, tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    archives = []
    for data in (b"\x80\x02}X\1\0\0\0yK\1s.", members["good/data.pkl"]):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in members:
                archive.writestr(name, members[name] if name != "good/data.pkl" else data)
        end = buffer.getvalue().index(b"PK\5\6")
        (start,) = struct.unpack_from("<I", buffer.getvalue(), end + 16)
        archives.append((buffer.getvalue()[:start], buffer.getvalue()[start:end]))
    (hidden, its_directory), (shown, directory) = archives
    hidden += bytes(len(shown))
    before = hidden + its_directory + shown
    # The end names the place of the first directory; Python takes what stands right before the end, and moves all
    # places by the difference.
    moved = bytearray(directory)
    for i in (i for i in range(len(moved)) if moved[i : i + 4] == b"PK\1\2"):
        (place,) = struct.unpack_from("<I", moved, i + 42)
        struct.pack_into("<I", moved, i + 42, len(hidden + its_directory) + place - (len(before) - len(hidden)))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(members), len(members), len(directory), len(hidden), 0)
    (tmp_path / "x.pth").write_bytes(before + moved + end)
    assert torch.load(tmp_path / "x.pth", weights_only=True) == {"y": 1}
    assert torch.equal(read_checkpoint(tmp_path / "x.pth")["x"], torch.zeros(7))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_lists_of_tensors_in_one_are_refused(tmp_path):
    torch.save({"x": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])}, tmp_path / "x.pth")
    assert "'x' is a list of tensors" in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("count", [2**31, 2**40])
def test_an_old_stream_that_asks_for_much_memory(tmp_path, count):
    torch.save({"x": torch.zeros(77)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    data = (tmp_path / "x.pth").read_bytes()
    small, huge = (pickle.dumps(number, protocol=2)[2:-1] for number in (77, count))
    before, mark, after = data.partition(b"cpuq")
    assert mark and small in after
    (tmp_path / "x.pth").write_bytes(before + mark + after.replace(small, huge, 1))
    refusal(tmp_path / "x.pth")


def test_a_view_larger_than_its_storage_is_refused(tmp_path):
    torch.save({"x": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "x.pth")
    assert "claims more numbers" in refusal(tmp_path / "x.pth")


@dataclass
class Program:
    """An object that makes a file when it is unpacked."""

    mark: Path

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_is_run(tmp_path, zipped):
    torch.save({"x": Program(tmp_path / "was-run")}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert "which could run anything" in refusal(tmp_path / "x.pth")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("version", ["2.7.1", "2.9.1+cpu"])
def test_pytorch_that_is_too_old_is_not_given_what_could_run_in_it(tmp_path, monkeypatch, version):
    torch.save({"x": torch.ones(1)}, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth")
    monkeypatch.setattr(checkpoint.torch, "__version__", torch.torch_version.TorchVersion(version))
    assert f"could run code in PyTorch {version}; update it to 2.10" in refusal(tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth", trusted=True)


def test_an_older_pytorch_reads_safetensors(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    monkeypatch.setattr(checkpoint.torch, "__version__", torch.torch_version.TorchVersion("2.7.1"))
    assert set(read_checkpoint(tmp_path / "x.safetensors")) == {"x"}


def test_plain_values_come_back_as_they_were(tmp_path):
    state = {"step": 3, "rates": [0.1, None], "names": ("a", "b")}
    torch.save(state, tmp_path / "x.pt")
    assert load_plain_values(tmp_path / "x.pt") == state


def test_a_tar_file_of_2016_is_refused(tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "x.pth.tar", "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert "tar" in refusal(tmp_path / "x.pth.tar")
