"""Recipes: what a training run does, as a TOML file with every option documented here."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from adain_core.networks.skips import Skips
from adain_core.pipeline.tiling import CELL

from .command import TrainingError

RECIPES = Path(__file__).parent / "recipes"

_MACHINE_KEYS = ("compile", "workers", "cache_gb", "log_every", "sample_every", "checkpoint_every", "license")
# Zero stands for "none" in these; in other whole numbers it makes no sense.
_MAY_BE_ZERO = ("pool", "warmup", "seed", "workers")

# Besides its own error, a ValueError, tomllib lets pass what Python says of numbers with too many digits and of lists
# that are nested too deeply.
_NO_TOML = (ValueError, RecursionError)
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Recipe:
    """The defaults are the report's setting. Costs are relative to one forward pass of the loss network over a batch
    ("unit")."""

    # Data. A step draws batch_size content and as many style crops.
    size: tuple[int, int] = (512, 512)
    """Short side of an image before the crop, drawn log-uniformly between the two; decoding costs grow with its
    square."""
    crop: int = 256
    """Side of the square crops; the cost of a step grows with its square."""
    pool: int = 0
    """0 draws new crops for ever. N keeps to N crops of each kind and remembers what the loss network says of them: 2
    of 4 units less a step, for N * 16 * crop^2 bytes of memory (128 px: 2 GB for 8,000)."""
    recolor: float = 0.0
    """Share of the style crops that get another hue, saturation, contrast and brightness: results in palettes that the
    style folder lacks become better, those in its own ones hardly worse."""
    batch_size: int = 8
    accumulate: int = 1
    """Split each batch into this many equal parts, one after the other: less memory, the same result (but batch
    normalization sees the parts, and the decoder beside half of each), a little slower."""

    # Networks: vgg19-normalised, vgg19-torchvision, an embedded model such as lite, or a .safetensors file, that of
    # pytorch-AdaIN's networks included.
    encoder: str = "vgg19-normalised"
    loss_network: str = "vgg19-normalised"
    """The same as the encoder costs nothing more; another one costs 2 units a step."""
    start: str = ""
    """Weights to start from: tensors of the same name and shape are taken, what else there is starts random."""
    train_encoder: bool = False
    """Learn an encoder too (the lite family), from ``start`` or of the ``widths``; ``encoder`` has no effect then. 1
    to 2 units more a step at VGG-19's widths, a tenth at those of lite."""
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels of the four blocks of an encoder that learns and does not come from ``start``."""
    decoder: str = "plain"
    """plain, or add / concat with -content, -style or -both, and -adain for AdaIN on the skips. Skips cost up to a
    tenth more time, concatenation no more parameters."""
    skip_strength: float = 1.0
    """Factor on added maps."""
    beside: str = ""
    """A file whose decoder learns beside the first one, such as training.resize makes of an embedded model: an encoder
    that learns then serves both, where one that learns with skips alone keeps little in relu4_1. It learns from half of
    each batch: 1 unit more a step. The result of the run gets a second file for it."""
    beside_weight: float = 0.25
    """Factor on its losses: the larger, the more the encoder serves it in place of the first decoder."""
    normalization: Literal["adain", "batch", "instance", "conditional"] = "adain"
    """What moves the features: AdaIN, or a learned scale and shift (one pair, or for conditional one for each style
    image). No cost. batch leaves one style inside the decoder, whose file says so: alpha 0 shows it, others are
    refused. instance and conditional leave style files beside a decoder for any style."""
    normalize_input: bool = False
    """Give the encoder images with ImageNet's mean and standard deviation removed first (the report's experiment). The
    result holds the encoder, too; the loss network sees the images as they are, so 2 units more a step."""

    # Losses.
    convention: Literal["mse", "euclidean"] = "mse"
    """mse as the public implementations compute it, or euclidean as the formulas are printed."""
    content_weight: float = 1.0
    style_weight: float = 10.0
    identity_weight: float = 0.0
    """Weight of the L1 distance of the content and its reconstruction; one more pass of encoder and decoder."""
    tv_weight: float = 0.0
    """Weight of the total variation of the results; no cost."""
    color_teacher: str = ""
    """An embedded model or a file with a plain decoder for the loss network's features, such as vgg19-plain: the
    results' colors are drawn to those of the picture that it makes of the target. 1 unit more a step."""
    color_weight: float = 100.0
    """Weight of the mean squared difference of coarse colors, means over 4 x 4 pixels. It keeps a small network from
    lifting dark parts to the style's middle gray."""
    chroma_weight: float = 0.0
    """Weight of that of each pixel's chroma. The loss network hardly sees a grain of single colored pixels, with which
    a small network fills what has texture; 400 keeps it out."""

    # Optimization.
    optimizer: Literal["adam", "soap"] = "adam"
    """soap (Adam in the eigenbasis of Shampoo's preconditioner) learns more from each step, at 2 to 10 % more time and
    three times the optimizer's memory; it takes two to three times Adam's lr."""
    steps: int = 150_000
    lr: float = 1e-4
    lr_decay: float = 5e-5
    """lr / (1 + lr_decay * n) at step n, the report's schedule; with cosine it has no effect."""
    cosine: bool = False
    """A cosine from lr to lr / 100 in place of lr_decay."""
    warmup: int = 0
    """Steps over which lr rises from zero."""
    grad_clip: float = 0.0
    """Largest norm of the gradient; 0 leaves it alone."""
    ema: float = 0.0
    """Decay of the moving average of the weights that is exported; 0 exports the last weights. Costs one more copy of
    the weights in memory."""
    seed: int = 0
    """Of the first weights and of the order, places, sizes and flips of the crops."""

    # Machine.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 convolutions where the hardware is faster in it (statistics and losses stay in float32). A run
    goes on in what it began with."""
    compile: bool = False
    """torch.compile: the first steps take minutes, later ones are faster on a GPU."""
    workers: int = 1
    """Processes that decode images, for each training process."""
    cache_gb: float = 2.0
    """Decoded images kept in memory, by each worker."""

    # Output.
    log_every: int = 50
    """Steps between lines of log.csv."""
    sample_every: int = 500
    """Steps between sample grids and loss curves: a second or two each."""
    checkpoint_every: int = 500
    """Steps between checkpoints: five times the size of the weights, each."""
    license: str = ""
    """SPDX identifier that the result's file names; it depends on the training images as well as on you."""

    def __post_init__(self) -> None:
        self._check(self.size[0] <= self.size[1], "size", self.size, "the smaller side first")
        whole = self.crop >= 16 and self.crop % CELL == 0
        self._check(whole, "crop", self.crop, f"a multiple of {CELL}, at least 16 pixels")
        self._check(self.recolor <= 1, "recolor", self.recolor, "at most 1")
        self._check(self.ema < 1, "ema", self.ema, "less than 1")
        parts = self.batch_size % self.accumulate == 0
        self._check(parts, "accumulate", self.accumulate, f"a divisor of batch_size = {self.batch_size}")
        try:
            skips = Skips.parse(self.decoder, self.skip_strength)
        except ValueError as error:
            raise TrainingError(str(error)) from error
        if self.normalization != "adain":
            plain = not (skips.adain or skips.need_style_image)
            self._check(plain, "decoder", self.decoder, f"plain or skips from the content with '{self.normalization}'")
            for key in ("identity_weight", "recolor", "beside"):
                self._check(not getattr(self, key), key, getattr(self, key), "nothing unless AdaIN normalizes")

    def _check(self, fits: bool, key: str, value: object, expected: str) -> None:
        if not fits:
            raise TrainingError(f"'{key}' = {value!r}: expected {expected}.")

    def curve(self) -> dict[str, Any]:
        """The values that a run's results depend on, as plain ones: a run goes on with the same ones only."""
        values = as_dict(self)
        without_effect = {*_MACHINE_KEYS, "encoder" if self.train_encoder else "widths"}
        return {key: value for key, value in values.items() if key not in without_effect}


def load_recipe(name: str, changes: list[str]) -> Recipe:
    """The recipe of a name in training/recipes or of a TOML file, with ``key=value`` changes.

    Raises:
        TrainingError: there is no such recipe, or a key or value is not one that Recipe knows.
    """
    path = RECIPES / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise TrainingError(f"There is no recipe '{name}'; use a .toml file or one of {known}.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except _NO_TOML as error:
        raise TrainingError(f"{path} is not a TOML file: {error}.") from error
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise TrainingError(f"--set {change}: expected key=value.")
        values[key.strip()] = _parse(text.strip())
    return Recipe(**{key: _checked(key, value) for key, value in values.items()})


def _parse(text: str) -> Any:
    """A value as TOML reads it; what is no TOML value is a string, so that paths need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except _NO_TOML:
        return text


def _checked(key: str, value: Any) -> Any:
    hints = get_type_hints(Recipe)
    if key not in hints:
        near = difflib.get_close_matches(key, hints, n=1)
        advice = f"did you mean '{near[0]}'?" if near else f"the keys are {', '.join(hints)}."
        raise TrainingError(f"'{key}' is no key of a recipe; {advice}")
    kind = hints[key]
    if get_origin(kind) is tuple:
        count = len(get_args(kind))
        value = tuple(value) if isinstance(value, list) else (value,) * count
        fits = all(_is_whole(v, 1) for v in value) and len(value) == count
        expected = f"{count} whole numbers from 1, such as [{', '.join(map(str, getattr(Recipe, key)))}]"
    elif get_origin(kind) is Literal:
        fits, expected = value in get_args(kind), " or ".join(get_args(kind))
    elif kind is float:
        fits = _is_whole(value, 0) or (isinstance(value, float) and 0 <= value < float("inf"))
        expected = "a number from 0"
    elif kind is int:
        lowest = int(key not in _MAY_BE_ZERO)
        fits, expected = _is_whole(value, lowest), f"a whole number from {lowest}"
    else:
        fits, expected = isinstance(value, kind), "true or false" if kind is bool else "text"
    if not fits:
        try:
            shown = repr(value)
        except ValueError:  # more digits than Python writes
            shown = "a huge number"
        raise TrainingError(f"'{key}' = {shown}: expected {expected}.")
    return value


def _is_whole(value: Any, lowest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= _LARGEST


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, with lists for tuples: what a checkpoint holds and a TOML file says."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(recipe).items()}
