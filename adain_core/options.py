"""Every option once: its name, type, default and range, and the sentence that says what it does.

The table is the fields of the dataclasses below. The command line's arguments and help, the nodes' inputs and tooltips,
and through these the English locale and the help pages are made from it. A value out of range is refused in the same
words by all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from .images.color import COLOR_METHODS, ColorMethod
from .runtime.device import DTYPES
from .runtime.tables import Table, option
from .styles.stats import Detail
from .styles.transforms import TRANSFORMS, Transform

TileSize = int | Literal["auto", "off"]
"""The side of a tile in pixels; ``auto`` fits it to the memory, ``off`` takes each picture as a whole."""
GatysPreset = Literal["gatys", "tutorial"]
Optimizer = Literal["lbfgs", "adam"]
Pooling = Literal["max", "average"]
Init = Literal["content", "noise"]
Batch = Literal["one style", "each"]
Mixing = Literal["linear", "wasserstein"]

DETAILS: dict[str, tuple[Detail, ...]] = {
    "none": (),
    "covariance": ("covariance",),
    "quantiles": ("quantiles",),
    "both": ("covariance", "quantiles"),
}
"""What the choices of ``detail`` measure."""

_LARGEST_SIDE = 16384
_LARGEST_OPTIMIZED_SIDE = 4096


def _names(fits: Callable[[Transform], bool]) -> str:
    return " and ".join(transform.name for transform in TRANSFORMS.values() if fits(transform))


@dataclass(frozen=True)
class Options(Table):
    """How to stylize.

    Raises:
        ValueError: a value is out of range or no choice.
    """

    alpha: float = option(
        1.0,
        "Strength of the style: 0 gives the content as the decoder renders it, 1 the full style.",
        low=0.0,
        high=1.0,
        step=0.01,
    )
    transform: str = option(
        "adain",
        f"How the features take on the style. {'; '.join(f'{t.name} {t.summary}' for t in TRANSFORMS.values())}.",
        choices=tuple(TRANSFORMS),
    )
    keep_colors: ColorMethod | None = option(
        None,
        "Keep the content's colors. luminance takes only light and shade from the result; covariance and histogram"
        " match the colors as a whole: the style's to the content's before it is measured, in a film each result's to"
        " its frame's.",
        choices=COLOR_METHODS,
        unset="the style's colors",
    )
    size: int | None = option(
        None,
        "Short side of the result in pixels.",
        low=1,
        high=_LARGEST_SIDE,
        step=8,
        unset="the content's own",
    )
    work_size: int | None = option(
        None,
        "Short side at which to stylize, for large strokes in a large result: the content's detail is brought back"
        " afterwards.",
        low=1,
        high=_LARGEST_SIDE,
        step=8,
        unset="that of the result",
    )
    style_size: int | None = option(
        None,
        "Short side in pixels at which a style picture is measured.",
        low=1,
        high=_LARGEST_SIDE,
        step=8,
        unset="the picture's own",
    )
    style_scale: float = option(
        1.0,
        "Scales a style picture before it is measured: larger gives a calmer texture, smaller a finer one.",
        low=0.1,
        high=4.0,
        step=0.05,
    )
    tile: TileSize = option(
        "auto",
        "Side of the tiles in pixels. auto fits them to the memory, off takes each picture as a whole. The result is"
        " the same.",
        low=8,
        high=_LARGEST_SIDE,
        choices=("auto", "off"),
    )
    low_memory: bool = option(
        False,
        "For pictures so large that even tiles do not fit: the content is measured on a thumbnail, so memory grows"
        f" with the tile alone. The result is approximate; for {_names(lambda t: t.by_thumbnail)}.",
    )


@dataclass(frozen=True)
class FilmOptions(Table):
    """How the statistics of a film's frames change over time.

    Raises:
        ValueError: a value is out of range.
    """

    smoothing: float = option(
        0.8,
        "Share of the past in the statistics of each frame: 0 is none, 0.9 remembers about ten frames.",
        low=0.0,
        high=0.99,
        step=0.01,
    )
    cut: float = option(
        0.35,
        "How much the statistics must change from one frame to the next to count as a cut, in standard deviations.",
        low=0.01,
        high=1000.0,
        step=0.01,
    )


@dataclass(frozen=True)
class ModelOptions(Table):
    """Which networks compute, and where."""

    model: str = option(
        "lite",
        "An embedded model (works offline, but those named vgg19 are decoders whose encoder comes from the Hub), a"
        " .safetensors file, or an encoder that is downloaded from the Hub when it is first used. A file with a decoder"
        " alone finds its encoder beside it or on the Hub.",
    )
    decoder: str | None = option(
        None,
        "Another decoder for the model's encoder: plain, or with skip connections, which keep more of the content's"
        " detail. It must belong to the same space.",
        unset="the model's own",
    )
    device: str = option("auto", "Where to compute: auto, cpu, cuda, cuda:1, mps.")
    dtype: str = option(
        "auto",
        "Number format of the convolutions. auto is bfloat16 where the hardware is faster in it, else float32."
        " Statistics are always in float32.",
        choices=("auto", *DTYPES),
    )
    tile_memory: float | None = option(
        None,
        "What tiles may use in GB, where their side is auto.",
        low=0.001,
        high=10000.0,
        unset="a quarter of the free memory and at most 1.5",
    )
    hub_address: str = option(
        "",
        "A file on the Hugging Face Hub to use in place of 'model', as"
        " hf://owner/repository/file.safetensors@revision; downloaded when it is first used. Leave it empty for none."
        " ADAIN_OFFLINE=1 in the environment forbids all downloads.",
    )


@dataclass(frozen=True)
class StyleOptions(Table):
    """How styles are measured, mixed and saved; their size and scale are among :class:`Options`."""

    batch: Batch = option(
        "one style",
        "A batch of style pictures is one style seen several times, or (each) one style for each content.",
        choices=get_args(Batch),
    )
    detail: str = option(
        "none",
        "What to measure besides means and standard deviations: covariance for the transforms"
        f" {_names(lambda t: 'covariance' in t.needs)}, quantiles for {_names(lambda t: 'quantiles' in t.needs)}, or"
        " both.",
        choices=tuple(DETAILS),
    )
    weights: tuple[float, ...] | None = option(
        None,
        "Share of each style, relative to the others.",
        low=0.0,
        high=100.0,
        step=0.05,
        unset="equal",
        many=True,
    )
    method: Mixing = option(
        "linear",
        "linear: the mean of the statistics. wasserstein: the style in between by optimal transport, which differs"
        " where the styles were measured with covariance.",
        choices=get_args(Mixing),
    )
    name: str | None = option(None, "What to call the style.", unset="the file's name")
    filename_prefix: str = option(
        "style", "Name of the file; a number is added. May begin with a subfolder: oil/waves."
    )


@dataclass(frozen=True)
class ConvertOptions(Table):
    """What is known of a checkpoint that does not say it itself."""

    space: str | None = option(
        None, "The encoder that a decoder belongs to.", unset="the one that is converted with it"
    )
    skips: str | None = option(
        None, "What a decoder was trained with, such as add-content, add-style or concat2-style.", unset="none"
    )
    skip_strength: float = option(1.0, "Factor on added skips.", low=0.0)
    license: str | None = option(None, "SPDX identifier to write into the files.", unset="none")


@dataclass(frozen=True)
class ExportOptions(Table):
    """What a model is written as, for other programs."""

    format: str = option("onnx", "What the files are: onnx for onnxruntime and its like.", choices=("onnx",))
    dtype: str = option(
        "float32",
        "Number format of the files. float16 halves them, and is faster on a GPU; pictures stay float32.",
        choices=("float32", "float16"),
    )


@dataclass(frozen=True)
class ColorOptions(Table):
    """How a finished picture is recolored."""

    method: ColorMethod = option(
        "luminance",
        "luminance: the content's colors with the stylized light and shade (same size needed). covariance: the most"
        " even change to the content's colors as a whole. histogram: the content's amount of each level of red, green"
        " and blue.",
        choices=COLOR_METHODS,
    )


@dataclass(frozen=True)
class GridOptions(Table):
    """What a contact sheet shows."""

    alphas: tuple[float, ...] = option(
        (0.25, 0.5, 0.75, 1.0),
        "Strengths from 0 to 1, one for each column, with commas in between.",
        low=0.0,
        high=1.0,
        many=True,
    )
    cell: int = option(256, "Long side of each picture, in pixels.", low=64, high=2048, step=8)
    size: int = option(512, "Short side of the content at which to compute, in pixels.", low=1, high=_LARGEST_SIDE)


@dataclass(frozen=True)
class GatysOptions(Table):
    """What a user of Gatys' optimization chooses beside the :class:`Optimization` of a preset."""

    size: int | None = option(
        256,
        "Short side of the result in pixels; time grows with its square.",
        low=1,
        high=_LARGEST_OPTIMIZED_SIDE,
        step=8,
        unset="the content's own",
    )
    style_size: int | None = option(
        None,
        "Short side in pixels at which the style is measured.",
        low=1,
        high=_LARGEST_OPTIMIZED_SIDE,
        step=8,
        unset="the same as size",
    )
    style_weight: float = option(
        1.0,
        "Multiplies the preset's weight of the style against the content.",
        low=0.0,
        high=1000.0,
        step=0.1,
    )
    init: Init = option("content", "Where to start: the content, or noise.", choices=get_args(Init))
    preset: GatysPreset = option(
        "gatys",
        "Layers and weights: gatys are those of the paper, tutorial those of PyTorch's widely used tutorial (meant for"
        " VGG-19). Layers that the model lacks are left out.",
        choices=get_args(GatysPreset),
    )


@dataclass(frozen=True)
class TextureOptions(Table):
    """How large a texture becomes."""

    width: int = option(256, "Width of the texture in pixels.", low=32, high=_LARGEST_OPTIMIZED_SIDE, step=8)
    height: int = option(256, "Height of the texture in pixels.", low=32, high=_LARGEST_OPTIMIZED_SIDE, step=8)


@dataclass(frozen=True)
class Optimization(Table):
    """What Gatys' optimization minimizes, and how. The defaults are Gatys' own choice of layers.

    The style's weight in Gatys' program is 1e3, which hardly leaves the photo within a few hundred evaluations.
    """

    content_tap: str = option("relu4_2", "The layer whose features stay near the content's.")
    style_taps: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "The layers whose Gram matrices become the style's.",
        many=True,
    )
    content_weight: float = option(1.0, "Of the mean squared difference from the content's features.", low=0.0)
    style_weight: float = option(1e5, "Of the distance from the style's Gram matrices.", low=0.0)
    variation_weight: float = option(0.0, "Of the total variation, for smoother results.", low=0.0)
    optimizer: Optimizer = option(
        "lbfgs", "lbfgs gets further in as many iterations; adam needs less memory.", choices=get_args(Optimizer)
    )
    iterations: int = option(
        300,
        "How often the loss and its gradient are computed in all. More is better and slower.",
        low=1,
        high=10000,
    )
    scales: int = option(
        1,
        "From coarse to fine, each sqrt(2) larger; those with a short side of less than 32 pixels are left out.",
        low=1,
        high=16,
    )
    history: int = option(
        20, "Pairs of vectors that lbfgs remembers; each takes up to 48 bytes for each pixel.", low=1, high=1000
    )
    tolerance: float = option(
        0.0,
        "A scale ends when its lowest loss fell by a smaller share than this over 20 evaluations; 0 for never.",
        low=0.0,
        high=1.0,
    )
    pooling: Pooling = option(
        "max",
        "max as in VGG-19, or average, which Gatys found to give slightly nicer pictures.",
        choices=get_args(Pooling),
    )
    seed: int = option(0, "Of the noise that it starts from.", low=0, high=2**53)
