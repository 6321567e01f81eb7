"""Crops: reproducible, resumable, shared, and unimpressed by damaged files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import EpsImagePlugin, Image

from tests.color_profiles import rgb_profile
from tests.helpers import random_picture, write_jpeg_with_damaged_tags
from training.command import TrainingError
from training.data import CropNumbers, RandomCrops, center_square, find_images, open_image
from training.torchvision_compat import v2


def crops(folder: Path, **options: float) -> RandomCrops:
    return RandomCrops(folder, **{"crop": 24, "size": (24, 60), "seed": 0, **options})


def test_a_seed_gives_the_same_crops(data: Path) -> None:
    ones, others, different = crops(data / "content"), crops(data / "content"), crops(data / "content", seed=1)
    for i in (0, 7, 100):
        assert torch.equal(ones[i][0], others[i][0])
    assert not all(torch.equal(ones[i][0], different[i][0]) for i in range(5))


def test_every_image_comes_once_in_a_round(data: Path) -> None:
    folder = crops(data / "content")
    for start in (0, 5):
        assert {folder[i][2] for i in range(start, start + 5)} == set(range(5))


def test_a_pool_comes_again_in_another_order(data: Path) -> None:
    folder = crops(data / "content", pool=6)
    rounds = [[folder[i][1] for i in range(start, start + 6)] for start in (0, 6, 12)]
    assert all(sorted(numbers) == list(range(6)) for numbers in rounds)
    assert rounds[0] != rounds[1] or rounds[1] != rounds[2]
    by_number: dict[int, torch.Tensor] = {}
    for i in range(18):
        crop, number, _ = folder[i]
        assert torch.equal(by_number.setdefault(number, crop), crop)


def test_a_share_of_the_crops_gets_other_colors_and_keeps_its_places(data: Path) -> None:
    own, others = crops(data / "style"), crops(data / "style", recolor=0.5)
    pairs = [(own[i][0], others[i][0]) for i in range(60)]
    changed = [pair for pair in pairs if not torch.equal(*pair)]
    assert 15 < len(changed) < 45
    assert all(torch.equal(others[i][0], pairs[i][1]) for i in range(5))
    for before, after in changed:
        assert after.dtype == torch.uint8 and after.shape == before.shape


def test_an_image_is_known_by_its_content(data: Path, tmp_path: Path) -> None:
    others = shutil.copytree(data / "content", tmp_path / "others")
    for i, path in enumerate(sorted(others.iterdir())):
        path.rename(others / f"{9 - i}.png")
    ones, renamed = crops(data / "content"), crops(others)
    assert ones.digests == renamed.digests and ones.paths != renamed.paths
    assert all(torch.equal(ones[i][0], renamed[i][0]) for i in range(10))
    shutil.copy(data / "style" / "0.png", others / "9.png")
    assert crops(others).digests != ones.digests


def test_held_out_images_never_come(data: Path) -> None:
    folder, whole = crops(data / "content"), crops(data / "content")
    assert folder.hold_out(2) == whole.paths[:2]
    assert {folder.paths[folder[i][2]] for i in range(30)} == set(whole.paths[2:])
    with pytest.raises(TrainingError, match=r"'held_out' = 3: .* has 3 images"):
        folder.hold_out(3)


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(tmp_path: Path) -> None:
    picture = v2.functional.to_pil_image(random_picture(40, 64)[0]).resize((1024, 640), Image.Resampling.BICUBIC)
    picture.save(tmp_path / "large.jpg", quality=95)
    assert open_image(tmp_path / "large.jpg").size == (1024, 640)
    assert open_image(tmp_path / "large.jpg", 700).size == (1024, 640)
    assert open_image(tmp_path / "large.jpg", 300).size == (512, 320)
    assert open_image(tmp_path / "large.jpg", 80).size == (128, 80)
    picture.save(tmp_path / "large.png")
    folders = [tmp_path / name for name in ("jpg", "png")]
    for folder in folders:
        folder.mkdir()
        shutil.copy(tmp_path / f"large.{folder.name}", folder)
    reduced, whole = (RandomCrops(folder, 32, 40, seed=0)[0][0].float() for folder in folders)
    assert (reduced - whole).abs().mean() < 4


def test_damaged_files_are_skipped_and_counted(data: Path, tmp_path: Path) -> None:
    good = (data / "content" / "0.png").read_bytes()
    (tmp_path / "good.png").write_bytes(good)
    (tmp_path / "torn.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "empty.jpg").touch()
    (tmp_path / "notes.txt").write_text("no image")
    write_jpeg_with_damaged_tags(tmp_path / "tags.jpg")
    folder = crops(tmp_path)
    assert len(folder.paths) == 4
    images = {folder[i][2] for i in range(8)}
    assert [folder.paths[image].name for image in images] == ["good.png"]
    assert int(folder.unreadable.sum()) == 3


def test_a_program_among_the_images_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ghostscript(*_: object, **__: object) -> None:
        raise AssertionError("the program ran")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    (tmp_path / "photo.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(TrainingError, match=r"photo\.jpg cannot be read as an image"):
        open_image(tmp_path / "photo.jpg")


def test_images_of_any_profile_and_depth_are_8_bit_srgb(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (200, 100, 50)).save(tmp_path / "p3.png", icc_profile=rgb_profile())
    Image.new("I;16", (4, 4), 0xC000).save(tmp_path / "deep.png")
    red, green, blue = open_image(tmp_path / "p3.png").getpixel((0, 0))
    assert red > 208 and 90 < green < 98 and blue < 45
    deep = open_image(tmp_path / "deep.png")
    assert deep.mode == "RGB" and deep.getpixel((0, 0)) == (191, 191, 191)


def test_the_memory_changes_nothing(data: Path) -> None:
    with_memory, without = crops(data / "content", cache_bytes=2**20), crops(data / "content")
    for i in [*range(5), *range(5)]:
        assert torch.equal(with_memory[i][0], without[i][0])
    assert with_memory.cache_bytes < 2**20


def test_processes_share_each_batch() -> None:
    whole = list(CropNumbers(8, 16, batch=4))
    parts = [list(CropNumbers(8, 16, batch=4, rank=rank, ranks=2)) for rank in range(2)]
    assert whole == list(range(8, 24))
    assert sorted(parts[0] + parts[1]) == whole
    assert parts[0][:4] == [8, 9, 12, 13]
    assert len(CropNumbers(8, 16, batch=4, rank=1, ranks=2)) == len(parts[1])


def test_images_are_found_among_files_and_folders(data: Path) -> None:
    found = find_images(data / "style", data / "content" / "1.png")
    assert found == sorted([*(data / "style").iterdir(), data / "content" / "1.png"])
    with pytest.raises(TrainingError, match="no file or folder"):
        find_images(data / "nothing")


def test_a_folder_with_the_name_of_an_image_is_none(data: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    image = Path(shutil.copy(data / "content" / "1.png", tmp_path / "folder.png"))
    assert find_images(tmp_path) == [image]


def test_a_center_square_is_centered(data: Path) -> None:
    square = center_square(data / "content" / "4.png", 32)
    assert square.shape == (1, 3, 32, 32)
    assert square.min() >= 0 and square.max() <= 1
    with pytest.raises(TrainingError, match="cannot be read as an image"):
        open_image(data / "loss.safetensors")
