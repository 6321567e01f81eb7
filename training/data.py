"""Random crops of the images of a folder, reproducible and resumable."""

from __future__ import annotations

import hashlib
import math
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from adain_core.images import files
from adain_core.images.files import IMAGE_SUFFIXES, ImageError

from .command import TrainingError
from .torchvision_compat import v2


def find_images(*places: Path) -> list[Path]:
    """All image files among some files and below some folders, sorted by path.

    Raises:
        TrainingError: a place does not exist, or a folder holds no image.
    """
    found: set[Path] = set()
    for place in places:
        if not place.exists():
            raise TrainingError(f"There is no file or folder {place}; name the images to work with.")
        inside = place.rglob("*") if place.is_dir() else [place]
        images = [p for p in inside if p == place or (p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())]
        if not images:
            raise TrainingError(f"{place} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
        found.update(images)
    return sorted(found)


def by_content(paths: list[Path]) -> dict[Path, str]:
    """The SHA-256 of each file, in the order of these: one that does not change with the files' names.

    Raises:
        TrainingError: a file cannot be read.
    """

    def digest(path: Path) -> str:
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror or error}.") from error

    with ThreadPoolExecutor() as threads:
        digests = dict(zip(paths, threads.map(digest, paths), strict=True))
    return dict(sorted(digests.items(), key=lambda item: item[1]))


def leave_signals_to_the_trainer(_: int) -> None:
    """For a worker that decodes images. Terminals and batch systems signal every process, and the trainer needs its
    workers until it has saved and leaves."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def default_workers() -> int:
    """How many processes decode images when nobody says: one for every two cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores // 2))


def open_image(path: Path, short_side: int = 0) -> Image.Image:
    """An image file as 8-bit RGB, upright and in sRGB.

    Args:
        path: of the file.
        short_side: see :func:`adain_core.images.files.open_image`.

    Raises:
        TrainingError: it is damaged, not an image, or too large to be safe.
    """
    try:
        return files.open_image(path, short_side)
    except ImageError as error:
        raise TrainingError(str(error)) from error


def center_square(path: Path, size: int) -> Tensor:
    """The center of an image file, its short side brought to ``size`` pixels (Lanczos): [1, 3, size, size] in 0..1."""
    square = ImageOps.fit(open_image(path), (size, size), Image.Resampling.LANCZOS)
    return v2.functional.to_dtype(v2.functional.pil_to_tensor(square), torch.float32, scale=True)[None]


class RandomCrops(Dataset):
    """An endless sequence of random square crops, where crop i is a pure function of (seed, i).

    Nothing but i has to be remembered to go on after a break, and several processes share the sequence by its numbers.
    Images are numbered in the order of their contents' digests, so they may be renamed in between.

    Args:
        folder: searched recursively.
        crop: side of a crop in pixels.
        size: short side, in pixels, that an image is brought to before the crop; a pair (smallest, largest) draws it
            log-uniformly. It is never below ``crop``.
        seed: of order, sizes, places and flips.
        pool: number of different crops, after which they come again in another order; 0 means no end of new ones.
        cache_bytes: decoded images are kept in memory up to this many bytes.
        recolor: share of the crops that are given other colors.
    """

    def __init__(
        self,
        folder: Path,
        crop: int,
        size: int | tuple[int, int],
        seed: int,
        pool: int = 0,
        cache_bytes: int = 0,
        recolor: float = 0.0,
    ) -> None:
        digests = by_content(find_images(folder))
        self.paths = list(digests)
        self.digests = list(digests.values())
        self.folder = folder
        self.crop = crop
        self.sizes = (size, size) if isinstance(size, int) else tuple(size)
        self.seed = seed
        self.pool = pool
        self.cache_bytes = cache_bytes
        self.recolor = recolor
        self.unreadable = torch.zeros(len(self.paths), dtype=torch.bool).share_memory_()
        self._cache: dict[int, Image.Image] = {}
        self._orders: dict[int, tuple[int, Tensor]] = {}

    def hold_out(self, count: int) -> list[Path]:
        """Take some images away, before the first crop; their paths.

        Raises:
            TrainingError: there are no more images than that.
        """
        if count >= len(self.paths):
            raise TrainingError(f"'held_out' = {count}: {self.folder} has {len(self.paths)} images; expected fewer.")
        taken, self.paths = self.paths[:count], self.paths[count:]
        return taken

    def __getitem__(self, i: int) -> tuple[Tensor, int, int]:
        """The i-th crop of the sequence: uint8 [3, crop, crop], the crop's own number, the number of its image."""
        number = self._shuffled(i, self.pool) if self.pool else i
        image, index = self._readable_image(number)
        return self._cut(image, np.random.default_rng((self.seed, number))), number, index

    def _readable_image(self, number: int) -> tuple[Image.Image, int]:
        for attempt in range(len(self.paths)):
            index = (self._shuffled(number, len(self.paths)) + attempt) % len(self.paths)
            if self.unreadable[index]:
                continue
            try:
                return self._load(index), index
            except TrainingError:
                self.unreadable[index] = True
        raise TrainingError(f"None of the {len(self.paths)} images in {self.folder} can be read.")

    def _load(self, index: int) -> Image.Image:
        if index in self._cache:
            return self._cache[index]
        # Nothing larger than the largest short side is ever used: shrink once, here.
        largest = max(self.sizes[1], self.crop)
        image = open_image(self.paths[index], largest)
        scale = largest / min(image.size)
        if scale < 1:
            image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
        size = image.width * image.height * 3
        if self.cache_bytes >= size:
            self.cache_bytes -= size
            self._cache[index] = image
        return image

    def _cut(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        low, high = self.sizes
        short = max(self.crop, math.exp(rng.uniform(math.log(low), math.log(high))))
        side = self.crop * min(image.size) / short
        left, top = (rng.uniform(0, max(0.0, length - side)) for length in image.size)
        box = (left, top, min(left + side, image.width), min(top + side, image.height))
        crop = image.resize((self.crop, self.crop), Image.Resampling.BICUBIC, box=box)
        pixels = np.asarray(crop)
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        return recolored(tensor, rng) if rng.random() < self.recolor else tensor

    def _shuffled(self, i: int, length: int) -> int:
        """Entry i of an endless sequence of shuffled rounds through range(length)."""
        turn, place = divmod(i, length)
        if self._orders.get(length, (None,))[0] != turn:
            generator = torch.Generator().manual_seed(hash((self.seed, length, turn)) % 2**63)
            self._orders[length] = turn, torch.randperm(length, generator=generator)
        return int(self._orders[length][1][place])


def recolored(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """A crop [3, H, W] in any hue, and with its saturation, contrast and brightness changed by up to 2.5, 1.8 and 1.4
    times."""
    crop = v2.functional.adjust_hue(crop, rng.uniform(-0.5, 0.5))
    for adjust, limit in (
        (v2.functional.adjust_saturation, 2.5),
        (v2.functional.adjust_contrast, 1.8),
        (v2.functional.adjust_brightness, 1.4),
    ):
        crop = adjust(crop, limit ** rng.uniform(-1, 1))
    return crop


class CropPairs(Dataset):
    """Content and style crops side by side: entry i holds crop i of each."""

    def __init__(self, content: RandomCrops, style: RandomCrops) -> None:
        self.content = content
        self.style = style

    def __getitem__(self, i: int) -> tuple[tuple[Tensor, int, int], tuple[Tensor, int, int]]:
        return self.content[i], self.style[i]


class CropNumbers(torch.utils.data.Sampler[int]):
    """The numbers that one process draws: from ``first`` on, ``count`` of them, one of ``ranks`` equal parts of each
    batch."""

    def __init__(self, first: int, count: int, batch: int, rank: int = 0, ranks: int = 1) -> None:
        self.first, self.count, self.batch, self.rank, self.ranks = first, count, batch, rank, ranks

    def __iter__(self) -> Iterator[int]:
        part = self.batch // self.ranks
        for start in range(self.first, self.first + self.count, self.batch):
            yield from range(start + self.rank * part, start + (self.rank + 1) * part)

    def __len__(self) -> int:
        return self.count // self.ranks
