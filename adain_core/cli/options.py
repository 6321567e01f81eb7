"""Options and steps that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from ..images import ImageError, read_picture
from ..pipeline import StyleTransfer
from ..progress import Progress


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model, --decoder, --device and --dtype."""
    parser.add_argument(
        "--model", default="lite", help="an embedded model, a .safetensors file, or a folder with both (default: lite)"
    )
    parser.add_argument("--decoder", help="another decoder of the same space: a name or a file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: auto)")


def load_model(args: argparse.Namespace) -> StyleTransfer:
    """The model that :func:`add_model_options` asked for."""
    return StyleTransfer.from_pretrained(args.model, args.decoder, args.device, args.dtype)


def positive_int(text: str) -> int:
    """An argparse type: a whole number from 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return value


def unit_interval(text: str) -> float:
    """An argparse type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")
    return value


def number_list(text: str) -> list[float]:
    """An argparse type: numbers with commas between them."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers such as 2,1") from None


def read_mask(path: Path | None) -> Tensor | None:
    """A mask [1, H, W] in 0..1 from an image file: white is 1."""
    return None if path is None else read_picture(path).rgb.mean(dim=1)


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse to write over a file without ``overwrite``, or into a path that cannot hold one.

    Raises:
        ImageError: with what to do about it.
    """
    if path.is_dir():
        raise ImageError(f"{path} is a folder; name a file such as {path / 'result.png'}.")
    if path.exists() and not overwrite:
        raise ImageError(f"{path} exists already; use --overwrite or another name.")
    for parent in path.parents:
        if parent.is_dir():
            break
        if parent.exists():
            raise ImageError(f"{path} cannot be written: {parent} is a file, not a folder.")


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A callback that draws a progress bar on stderr, if that is a terminal."""
    layout = "{l_bar}{bar}| {elapsed}"
    with tqdm(total=100, desc=label, file=sys.stderr, disable=None, leave=False, bar_format=layout) as bar:

        def show(share: float) -> None:
            bar.update(100 * share - bar.n)

        yield show
