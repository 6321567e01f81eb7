"""Files are whole or not there, whoever writes them at once and whatever their names are."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors import safe_open

from adain_core.runtime.files import atomic_file, write_atomically, write_tensors


def test_a_link_stays_one_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "real.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["link.png", "real.png"]


@pytest.mark.parametrize("name", [244 * "n", 60 * "名" + ".png", "a." + 240 * "b"])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path, name):
    write_atomically(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"


def test_many_writers_of_one_file_leave_one_whole_content(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(tmp_path / "file", content), contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as temporary:
        assert temporary.suffix == ".mp4" and temporary.parent == tmp_path
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["film.mp4"]


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(os, "fsync", lambda handle: steps.append(os.fstat(handle).st_size))
    write_atomically(tmp_path / "file", b"12345")
    assert steps == [5]


def test_a_name_that_is_no_utf_8_is_written_with_question_marks(tmp_path):
    write_tensors(tmp_path / "s.safetensors", {"x": torch.ones(1)}, {"name": os.fsdecode(b"caf\xe9")})
    with safe_open(tmp_path / "s.safetensors", framework="pt") as file:
        assert file.metadata()["name"] == "caf?"


def test_what_cannot_be_written_is_named(tmp_path):
    with pytest.raises(IsADirectoryError, match=f"'{tmp_path}'"):
        write_atomically(tmp_path, b"content")


def test_a_file_has_the_rights_that_any_other_would_have(tmp_path):
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "file", b"")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_equal_tensors_and_metadata_give_equal_bytes(tmp_path):
    words = {f"key {number}": "ü" * number for number in range(20)}
    contents = set()
    for metadata in (words, dict(reversed(words.items()))):
        for _ in range(5):
            write_tensors(tmp_path / "s.safetensors", {"b": torch.ones(3), "a": torch.zeros(2, 2)}, metadata)
            contents.add((tmp_path / "s.safetensors").read_bytes())
    assert len(contents) == 1
