"""Recipes: what a training run does, as a TOML file with every option documented here."""

from __future__ import annotations

import difflib
import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from adain_core.models.weights import MAX_WIDTH
from adain_core.networks.skips import Skips
from adain_core.pipeline.tiling import CELL

from .command import TrainingError

RECIPES = Path(__file__).parent / "recipes"

# Besides its own error, a ValueError, tomllib lets pass what Python says of numbers with too many digits and of lists
# that are nested too deeply.
_NO_TOML = (ValueError, RecursionError)
_MACHINE_KEYS = {"compile", "workers", "cache_gb", "log_seconds", "sample_seconds", "checkpoint_seconds", "license"}
# The library's words, and those of a refusal.
_WORDS = {
    "Value error, ": "",
    "Input should be": "expected",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
}


def _numbers(count: int) -> BeforeValidator:
    """Takes TOML's list as a tuple, and one number for all."""

    def convert(value: object) -> tuple[object, ...]:
        values = tuple(value) if isinstance(value, list | tuple) else (value,) * count
        if len(values) != count:
            raise ValueError(f"expected {count} whole numbers")
        return values

    return BeforeValidator(convert)


Positive = Annotated[int, Field(ge=1, lt=2**63)]
Natural = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]


class Recipe(BaseModel):
    """The defaults are the study's setting. Costs are relative to one forward pass of the loss network over a batch
    ("unit")."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)

    # Data. A step draws batch_size content and as many style crops.
    size: Annotated[tuple[Positive, Positive], _numbers(2)] = (512, 512)
    """Short side of an image before the crop, drawn log-uniformly between the two; decoding costs grow with its
    square."""
    crop: Annotated[int, Field(ge=16, multiple_of=CELL)] = 256
    """Side of the square crops; the cost of a step grows with its square."""
    pool: Natural = 0
    """0 draws new crops for ever. N keeps to N crops of each kind and remembers what the loss network says of them: 2
    of 4 units less a step, for N * 16 * crop^2 bytes of memory (128 px: 2 GB for 8,000)."""
    recolor: Share = 0.0
    """Share of the style crops that get another hue, saturation, contrast and brightness: results in palettes that the
    style folder lacks become better, those in its own ones hardly worse."""
    batch_size: Positive = 8
    """Crops of each kind in a step, over all processes together."""
    accumulate: Positive = 1
    """Split each process's part of a batch into this many equal parts, one after the other: less memory, the same
    result (but batch normalization sees the parts), a little slower."""

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
    widths: Annotated[tuple[Width, Width, Width, Width], _numbers(4)] = (64, 128, 256, 512)
    """Channels of the four blocks of an encoder that learns and does not come from ``start``."""
    decoder: str = "plain"
    """plain, or add / concat with -content, -style or -both, and after it -adain for AdaIN on the skips, or -transport
    for it with optimal transport of covariances at relu1_1: an encoder that learns learns through that too. Skips cost
    up to a tenth more time, concatenation no more parameters."""
    skip_strength: Amount = 1.0
    """Factor on added maps."""
    normalization: Literal["adain", "batch", "instance", "conditional"] = "adain"
    """What moves the features: AdaIN, or a learned scale and shift (one pair, or for conditional one for each style
    image). No cost. batch leaves one style inside the decoder, whose file says so: alpha 0 shows it, others are
    refused. instance and conditional leave style files beside a decoder for any style."""
    normalize_input: bool = False
    """Work on images with ImageNet's mean and standard deviation removed (the study's experiment): encoder and loss
    network see those, and the decoder paints in their domain. The result is an ordinary model, with the way there in
    its encoder, which it holds, and the way back in its decoder's last convolution."""

    # Losses.
    convention: Literal["mse", "euclidean"] = "mse"
    """mse as the public implementations compute it, or euclidean as the formulas are printed."""
    content_weight: Amount = 1.0
    style_weight: Amount = 10.0
    identity_weight: Amount = 0.0
    """Weight of the L1 distance of the content and its reconstruction; one more pass of encoder and decoder."""
    tv_weight: Amount = 0.0
    """Weight of the total variation of the results; no cost."""
    steady_weight: Amount = 0.0
    """Weight of the mean squared difference between the results of a content and of its slightly shifted, scaled and
    noisy copy, the movement undone: films flicker less. 4 units more a step at VGG-19's widths, half a unit at those
    of lite."""
    color_teacher: str = ""
    """An embedded model or a file with a plain decoder for the loss network's features, such as vgg19-plain: the
    results' colors are drawn to those of the picture that it makes of the target. 1 unit more a step."""
    color_weight: Amount = 100.0
    """Weight of the mean squared difference of coarse colors, means over 4 x 4 pixels. It keeps a small network from
    lifting dark parts to the style's middle gray."""
    chroma_weight: Amount = 0.0
    """Weight of that of each pixel's chroma. The loss network hardly sees a grain of single colored pixels, with which
    a small network fills what has texture; 400 keeps it out."""
    imitation_weight: Amount = 0.0
    """Weight of the mean squared difference from the teacher's picture itself, and four times that of what a 3 x 3 mean
    leaves of it. Where content_weight and style_weight are 0 the loss network never sees the results, which saves 2
    units: a decoder that imitates first learns faster by itself later."""

    # Optimization.
    optimizer: Literal["adam", "soap"] = "adam"
    """soap (Adam in the eigenbasis of Shampoo's preconditioner) learns more from each step, at 2 to 10 % more time and
    three times the optimizer's memory; it takes two to three times Adam's lr."""
    steps: Positive = 150_000
    """A step sees ``batch_size`` crops of each kind, whatever the number of processes."""
    epochs: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """Rounds through the content folder, in place of ``steps``: the steps then depend on its size. 0 leaves it at
    ``steps``."""
    lr: Amount = 1e-4
    lr_decay: Amount = 5e-5
    """lr / (1 + lr_decay * n) at step n, the study's schedule; with cosine it has no effect."""
    cosine: bool = False
    """A cosine from lr to lr / 100 in place of lr_decay."""
    warmup: Natural = 0
    """Steps over which lr rises from zero."""
    grad_clip: Amount = 0.0
    """Largest norm of the gradient; 0 leaves it alone."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the moving average of the weights that is exported; 0 exports the last weights. Costs one more copy of
    the weights in memory."""
    seed: Natural = 0
    """Of the first weights and of the order, places, sizes and flips of the crops."""

    # Machine.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 convolutions where the hardware is faster in it (statistics and losses stay in float32). A run
    goes on in what it began with."""
    compile: bool = False
    """torch.compile: the first steps take minutes, later ones are faster on a GPU."""
    workers: Annotated[int, Field(ge=0, le=256)] | None = None
    """Processes that decode images, for each training process; by default one for every two cores, at most 8."""
    cache_gb: Amount = 2.0
    """Decoded images kept in memory, by all workers of a training process together."""

    # Output.
    held_out: Natural = 0
    """So many images of each folder are not learned from. Their losses, in pairs, go to validation.csv whenever samples
    are drawn, and the weights that did best there are kept as a second result, ``<RUN's name>-best.safetensors``."""
    log_seconds: Amount = 30.0
    """Seconds between lines of log.csv."""
    sample_seconds: Amount = 300.0
    """Seconds between sample grids, loss curves and validations, which take a second or two each."""
    checkpoint_seconds: Amount = 300.0
    """Seconds between checkpoints: five times the size of the weights, each."""
    license: str = ""
    """SPDX identifier that the result's file names; it depends on the training images as well as on you."""

    @model_validator(mode="after")
    def _fit_together(self) -> Recipe:
        self._check(self.size[0] <= self.size[1], "size", "the smaller side first")
        parts = self.batch_size % self.accumulate == 0
        self._check(parts, "accumulate", f"a divisor of batch_size = {self.batch_size}")
        for key in ("chroma_weight", "imitation_weight"):
            self._check(bool(self.color_teacher) or not getattr(self, key), key, "0 without a color_teacher")
        taught = self.color_teacher and (self.color_weight or self.chroma_weight or self.imitation_weight)
        self._check(bool(taught) or not self.imitates_only, "color_teacher", "a teacher where nothing else teaches")
        skips = Skips.parse(self.decoder, self.skip_strength)
        if self.normalization != "adain":
            plain = not (skips.normalization or skips.need_style_image)
            self._check(plain, "decoder", f"plain or skips from the content with '{self.normalization}'")
            for key in ("identity_weight", "recolor", "held_out"):
                self._check(not getattr(self, key), key, "nothing unless AdaIN normalizes")
        if self.normalize_input:
            for key in ("train_encoder", *([] if self.imitates_only else ["color_teacher"])):
                self._check(not getattr(self, key), key, "nothing with normalize_input")
        return self

    @property
    def imitates_only(self) -> bool:
        """Whether results are compared with a teacher's pictures alone."""
        return not (self.content_weight or self.style_weight)

    def _check(self, fits: bool, key: str, expected: str) -> None:
        if not fits:
            raise ValueError(f"'{key}' = {getattr(self, key)!r}: expected {expected}.")

    def curve(self) -> dict[str, Any]:
        """The values that a run's results depend on, as plain ones: a run goes on with the same ones only."""
        without_effect = {*_MACHINE_KEYS, "encoder" if self.train_encoder else "widths"}
        return self.model_dump(mode="json", exclude=without_effect)

    def for_images(self, count: int) -> Recipe:
        """The same with ``epochs`` rounds through so many contents written out as steps."""
        steps = math.ceil(self.epochs * count / self.batch_size) or self.steps
        return self.model_copy(update={"steps": steps, "epochs": 0.0})


def load_recipe(name: str, changes: list[str]) -> Recipe:
    """The recipe of a name in training/recipes or of a TOML file, with ``key=value`` changes. A file's ``base`` names
    the recipe that it changes.

    Raises:
        TrainingError: there is no such recipe, or a key or value is not one that Recipe knows.
    """
    values = _read(name)
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise TrainingError(f"--set {change}: expected key=value.")
        values[key.strip()] = _parse(text.strip())
    try:
        return Recipe(**values)
    except ValidationError as error:
        raise TrainingError(_sentence(error)) from error


def _read(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a recipe says, over what its base says."""
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
    if "base" not in values:
        return values
    base = str(values.pop("base"))
    if base in above:
        raise TrainingError(f"{path}: its base leads back to '{base}'; name another one.")
    return {**_read(base, (*above, base)), **values}


def _parse(text: str) -> Any:
    """A value as TOML reads it; what is no TOML value is a string, so that paths need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except _NO_TOML:
        return text


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong with a recipe."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return f"{first['ctx']['error']}"
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, Recipe.model_fields, n=1)
        advice = f"did you mean '{near[0]}'?" if near else f"the keys are {', '.join(Recipe.model_fields)}."
        return f"'{key}' is no key of a recipe; {advice}"
    expected = first["msg"]
    for theirs, ours in _WORDS.items():
        expected = expected.replace(theirs, ours)
    return f"'{key}' = {_shown(first['input'])}: {expected}."


def _shown(value: object) -> str:
    try:
        return f"{value!r:.60}"
    except ValueError:  # more digits than Python writes
        return "a huge number"
