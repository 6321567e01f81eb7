"""Options and steps that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from torch import Tensor
from tqdm import tqdm

from ..images.color import COLOR_METHODS
from ..images.pictures import ImageError, Picture, format_of, read_picture
from ..models import weights
from ..networks.encoder import Encoder
from ..pipeline.analyzer import StyleAnalyzer
from ..pipeline.transfer import StyleTransfer
from ..runtime.device import resolve_device
from ..runtime.progress import Progress
from ..styles.files import is_style_file
from ..styles.stats import Detail, StyleStats
from ..styles.transforms import TRANSFORMS

# More than any picture, memory or number of iterations, and few enough to compute with.
_MOST = 10**9

Number = TypeVar("Number", int, float)


def add_encoder_options(parser: argparse.ArgumentParser) -> None:
    """--model and --device, for commands that need no decoder."""
    parser.add_argument(
        "--model",
        default="lite",
        help="an embedded model, an encoder of the Hub, or a .safetensors file (default: lite)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")


def load_encoder(args: argparse.Namespace) -> tuple[Encoder, str]:
    """The encoder that :func:`add_encoder_options` asked for, on its device, and its space."""
    device = resolve_device(args.device)
    encoder, space = weights.load_encoder(args.model)
    return encoder.to(device), space


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model, --decoder, --device and --dtype."""
    parser.add_argument(
        "--model", default="lite", help="an embedded model, a .safetensors file, or a folder with both (default: lite)"
    )
    parser.add_argument("--decoder", help="another decoder of the same space: a name or a file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    add_dtype_option(parser)


def add_dtype_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: %(default)s)")


def add_transfer_options(parser: argparse.ArgumentParser, keep_colors: str, mask: str) -> None:
    """What a picture and a film have in common: how large they become, how strongly, where and how the style is laid
    on; ``keep_colors`` says what that option does, ``mask`` what may be one."""
    parser.add_argument("--size", type=positive_int, help="short side of the result (default: the content's own size)")
    parser.add_argument(
        "--work-size", type=positive_int, help="short side to stylize at; strokes are as large as there"
    )
    parser.add_argument("--weights", type=number_list, metavar="W,W,...", help="weights of the styles (default: equal)")
    parser.add_argument("--alpha", type=unit_interval, default=1.0, help="strength, 0 to 1 (default: 1)")
    parser.add_argument(
        "--transform", choices=TRANSFORMS, default="adain", help="how the style moves the features (default: adain)"
    )
    parser.add_argument("--mask", type=path_name, help=f"{mask}: stylize where it is white")
    parser.add_argument(
        "--region",
        type=path_name,
        nargs=2,
        action="append",
        default=[],
        metavar=("MASK", "STYLE"),
        help="another style where a mask is white, with edges that are soft by themselves; may be repeated",
    )
    parser.add_argument("--style-mask", type=path_name, help="an image: measure the styles' pictures where it is white")
    parser.add_argument("--style-size", type=positive_int, help="short side of the styles (default: their own)")
    parser.add_argument(
        "--style-scale", type=positive_float, default=1.0, help="enlarge the styles, and their strokes (default: 1)"
    )
    parser.add_argument("--keep-colors", choices=COLOR_METHODS, help=keep_colors)
    parser.add_argument(
        "--tile", type=tile_size, default="auto", help="side of tiles in pixels, auto or off (default: auto)"
    )
    parser.add_argument(
        "--tile-memory", type=positive_float, metavar="GB", help="what tiles may use (default: by auto)"
    )
    parser.add_argument(
        "--low-memory", action="store_true", help="statistics from a thumbnail; the result is approximate"
    )


def load_model(args: argparse.Namespace) -> StyleTransfer:
    """The model that :func:`add_model_options` asked for."""
    memory = getattr(args, "tile_memory", None)
    return StyleTransfer.from_pretrained(args.model, args.decoder, args.device, args.dtype, memory and memory * 1e9)


def read_style(path: Path, args: argparse.Namespace) -> Picture | StyleStats:
    """A style from a style file, or a picture.

    Raises:
        ValueError: an option for pictures is given with a style file.
    """
    if is_style_file(path):
        given = {"size": args.style_size, "mask": args.style_mask, "scale": args.style_scale != 1}
        for option in (name for name, value in given.items() if value):
            raise ValueError(
                f"--style-{option} is for pictures, but {path} was measured already; leave it out, or save that style"
                f" anew with: adain style PICTURE --style-{option} ..."
            )
        return StyleStats.load(path)
    return read_picture(path)


def measure_style(
    model: StyleAnalyzer, style: Picture | StyleStats, args: argparse.Namespace, detail: Collection[Detail]
) -> StyleStats:
    """The statistics of a style with the options of :func:`add_transfer_options`, and with so much detail."""
    if isinstance(style, StyleStats):
        return style
    mask = args.style_mask and read_mask(args.style_mask)
    options = {"style_size": args.style_size, "style_scale": args.style_scale, "tile": args.tile}
    return model.compute_style_stats(style, mask, detail=detail, **options)


def path_name(text: str) -> Path:
    """An argparse type: a file or folder. An empty text, which a variable without value leaves, is neither; for Path it
    is the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a file or folder is empty")
    return Path(text)


def tile_size(text: str) -> int | str:
    """An argparse type: auto, off or a number of pixels."""
    return text if text in ("auto", "off") else positive_int(text)


def positive_float(text: str) -> float:
    """An argparse type: a number above 0."""
    return _number(text, float, lambda value: 0 < value <= _MOST, "a number above 0, at most a billion")


def positive_int(text: str) -> int:
    """An argparse type: a whole number from 1."""
    return _number(text, int, lambda value: 1 <= value <= _MOST, "a whole number from 1 to a billion")


def unit_interval(text: str) -> float:
    """An argparse type: a number from 0 to 1."""
    return _number(text, float, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def _number(text: str, kind: Callable[[str], Number], fits: Callable[[Number], bool], expected: str) -> Number:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not {expected}")
    return value


def number_list(text: str) -> list[float]:
    """An argparse type: numbers with commas between them."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers such as 2,1") from None


def read_mask(path: Path) -> Tensor:
    """A mask [1, H, W] in 0..1 from an image file: white is 1, what is transparent 0."""
    picture = read_picture(path)
    white = picture.rgb.mean(dim=1)
    return white if picture.alpha is None else white * picture.alpha[:, 0]


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


def check_picture_output(path: Path, overwrite: bool) -> None:
    """As :func:`check_output`, for a picture: its suffix must be an image format, before any work is done.

    Raises:
        ImageError: with what to do about it.
    """
    check_output(path, overwrite)
    format_of(path)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A callback that draws a progress bar on stderr, if that is a terminal."""
    layout = "{l_bar}{bar}| {elapsed}<{remaining}"
    with tqdm(total=100, desc=label, file=sys.stderr, disable=None, leave=False, bar_format=layout) as bar:

        def show(share: float) -> None:
            bar.update(100 * share - bar.n)

        yield show
