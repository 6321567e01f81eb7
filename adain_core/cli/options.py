"""Options and steps that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor
from tqdm import tqdm

from ..images.files import ImageError, check_target, read_picture
from ..images.pictures import Picture
from ..models import weights
from ..networks.encoder import Encoder
from ..options import ModelOptions, Options, StyleOptions
from ..pipeline.analyzer import StyleAnalyzer
from ..pipeline.transfer import StyleTransfer
from ..runtime.device import resolve_device
from ..runtime.progress import Progress
from ..runtime.tables import Option, options_of
from ..styles.files import is_style_file
from ..styles.stats import Detail, StyleStats

Value = TypeVar("Value")

MODEL = ("model", "decoder", "device", "dtype")
"""The options of what stylizes; what only measures has no decoder."""


def add_option(parser: argparse.ArgumentParser, name: str, option: Option, **others: Any) -> None:
    """The argument for an option; ``others`` go to argparse in place of what the option says."""
    flag = "--" + name.replace("_", "-")
    if option.kind is bool:
        parser.add_argument(flag, action="store_true", help=_escaped(option.sentence))
        return
    default = others.pop("default", option.default)
    fallback = others.pop("unset", option.unset) if default in (None, []) else option.shown(default)
    note = "; ".join(filter(None, [option.range, fallback and f"default: {fallback}"]))
    help = option.sentence.removesuffix(".") + (f" ({note})" if note else "")
    arguments = {"type": as_type(option.parse), "default": default, "metavar": _metavar(name, option)}
    parser.add_argument(flag, help=_escaped(help), **arguments | others)


def add_options(parser: argparse.ArgumentParser, table: type, *names: str, **others: Any) -> None:
    """The arguments for some options of a table."""
    for name in names:
        add_option(parser, name, options_of(table)[name], **others)


def as_type(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """What raises a ValueError with a sentence, as an argparse type."""

    def parsed(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _metavar(name: str, option: Option) -> str | None:
    if option.many:
        return f"{name[0]},{name[0]},...".upper()
    return "{" + ",".join(option.choices) + "}" if option.choices and option.low is None else None


def _escaped(help: str) -> str:
    return help.replace("%", "%%")


def add_output(parser: argparse.ArgumentParser, what: str, may_skip: bool = False) -> None:
    """--out, which is ``what``, and --overwrite; where there can be several results --skip-existing too."""
    parser.add_argument("-o", "--out", type=path_name, required=True, help=what)
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="Replace what exists there")
    if may_skip:
        existing.add_argument("--skip-existing", action="store_true", help="Leave what exists there, and do the rest")


def add_transfer_options(parser: argparse.ArgumentParser, mask: str) -> None:
    """What a picture and a film have in common: how large they become, how strongly, where and how the style is laid
    on; ``mask`` says what may be one."""
    add_options(parser, Options, "size", "work_size")
    add_options(parser, StyleOptions, "weights")
    add_options(parser, Options, "alpha", "transform", "keep_colors", "tile", "low_memory")
    add_options(parser, ModelOptions, "tile_memory")
    parser.add_argument("--mask", type=path_name, help=f"{mask}: stylize where it is white")
    parser.add_argument(
        "--region",
        type=path_name,
        nargs=2,
        action="append",
        default=[],
        metavar=("MASK", "STYLE"),
        help="Another style where a mask is white, with edges that are soft by themselves; may be repeated",
    )
    add_style_options(parser)


def add_style_options(parser: argparse.ArgumentParser) -> None:
    """How the pictures of styles are measured."""
    add_options(parser, Options, "style_size", "style_scale")
    parser.add_argument("--style-mask", type=path_name, help="An image: measure the styles' pictures where it is white")


def chosen_encoder(args: argparse.Namespace) -> tuple[Encoder, str]:
    """The encoder that --model and --device ask for, on its device, and its space."""
    device = resolve_device(args.device)
    encoder, space = weights.load_encoder(args.model)
    return encoder.to(device), space


def chosen_model(args: argparse.Namespace) -> StyleTransfer:
    """The model that --model, --decoder, --device, --dtype and --tile-memory ask for."""
    memory = getattr(args, "tile_memory", None)
    return StyleTransfer.from_pretrained(args.model, args.decoder, args.device, args.dtype, memory and memory * 1e9)


def stylization(args: argparse.Namespace) -> Options:
    """How to stylize, from the options of :func:`add_transfer_options`."""
    return Options(**{name: getattr(args, name) for name in options_of(Options)})


def read_style(path: Path, args: argparse.Namespace) -> Picture | StyleStats:
    """A style from a style file, one of those that come with the package, or a picture.

    Raises:
        ValueError: an option for pictures is given with a style file.
        StyleFileError: the style file cannot be read.
        ImageError: the picture cannot be read.
    """
    if is_style_file(path):
        given = {"size": args.style_size, "mask": args.style_mask, "scale": args.style_scale != 1}
        if option := next((name for name, value in given.items() if value), None):
            raise ValueError(
                f"--style-{option} is for pictures, but {path} was measured already; leave it out, or save that style"
                f" anew with: adain style PICTURE --style-{option} ..."
            )
        embedded = weights.EMBEDDED_STYLES / path
        return StyleStats.load(embedded if embedded.is_file() and not path.exists() else path)
    return read_picture(path)


def measure_style(
    model: StyleAnalyzer, style: Picture | StyleStats, args: argparse.Namespace, detail: Collection[Detail]
) -> StyleStats:
    """The statistics of a style with the options of :func:`add_style_options`, and with so much detail."""
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


def read_mask(path: Path) -> Tensor:
    """A mask [1, H, W] in 0..1 from an image file: white is 1, what is transparent 0."""
    picture = read_picture(path)
    white = picture.rgb.mean(dim=1)
    return white if picture.opacity is None else white * picture.opacity[:, 0]


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse to write over a file without ``overwrite``, or into a path that cannot hold one.

    Raises:
        ImageError: with what to do about it.
    """
    if path.is_dir():
        raise ImageError(f"{path} is a folder; name a file such as {path / 'result.png'}.")
    if path.exists() and not overwrite:
        raise ImageError(f"{path} exists already; use --overwrite or another name.")
    if path.exists() and not path.is_file():
        raise ImageError(f"{path} is a device or a pipe, which a result would replace; name a file.")
    for parent in path.parents:
        if parent.is_dir():
            if not os.access(parent, os.W_OK):
                raise ImageError(f"{path} cannot be written: {parent} may not be written to; name another folder.")
            break
        if parent.exists():
            raise ImageError(f"{path} cannot be written: {parent} is a file, not a folder.")


def check_picture_output(path: Path, overwrite: bool) -> None:
    """As :func:`check_output`, for a picture: its suffix must be an image format, before any work is done.

    Raises:
        ImageError: with what to do about it.
    """
    check_output(path, overwrite)
    check_target(path)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A callback that draws a progress bar on stderr, if that is a terminal."""
    layout = "{l_bar}{bar}| {elapsed}<{remaining}"
    with tqdm(total=100, desc=label, file=sys.stderr, disable=None, leave=False, bar_format=layout) as bar:

        def show(share: float) -> None:
            bar.update(100 * share - bar.n)

        yield show
