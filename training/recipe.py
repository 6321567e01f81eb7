"""Recipes: what a training run does, as a TOML file with every option documented here."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .command import TrainingError

RECIPES = Path(__file__).parent / "recipes"


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
    of 4 units less a step, for N * 2 * crop^2 bytes of memory (128 px: 0.5 GB for 16,000)."""
    batch_size: int = 8
    accumulate: int = 1
    """Split each batch into this many parts, one after the other: less memory, the same result, a little slower."""

    # Networks: a preset, a .safetensors file, or a run's folder.
    encoder: str = "vgg19-normalised"
    loss_network: str = "vgg19-normalised"
    """The same as the encoder costs nothing more; another one costs 2 units a step."""
    start: str = ""
    """Weights to start from (encoder and decoder, or decoder); empty means a random decoder."""
    train_encoder: bool = False
    """Let the encoder learn too (the lite family); the loss network must be another one then."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    decoder: str = "plain"
    """plain, or add / concat with -content, -style or -both, and -adain for AdaIN on the skips."""
    skip_strength: float = 1.0
    normalization: Literal["adain", "batch", "instance", "conditional"] = "adain"
    normalize_input: bool = False
    """Give the encoder images with ImageNet's mean and standard deviation removed first (the report's experiment)."""

    # Losses.
    convention: Literal["mse", "euclidean"] = "mse"
    """mse as the public implementations compute it, or euclidean as the formulas are printed."""
    content_weight: float = 1.0
    style_weight: float = 10.0
    identity_weight: float = 0.0
    """Weight of the L1 distance of the content and its reconstruction; costs one more decoder pass."""
    tv_weight: float = 0.0

    # Optimisation (Adam).
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
    """Decay of the moving average of the weights that is exported; 0 exports the last weights."""
    seed: int = 0

    # Machine.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 convolutions where the hardware has them (statistics and losses stay in float32)."""
    compile: bool = False
    """torch.compile; minutes at the start, 10 to 30 % a step on a GPU."""
    workers: int = 1
    """Processes that decode images, for each training process."""
    cache_gb: float = 2.0
    """Decoded images kept in memory, by each worker."""

    # Output.
    log_every: int = 50
    sample_every: int = 500
    checkpoint_every: int = 500


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
    except tomllib.TOMLDecodeError:
        return text


def _checked(key: str, value: Any) -> Any:
    hints = get_type_hints(Recipe)
    if key not in hints:
        near = difflib.get_close_matches(key, hints, n=1)
        advice = f"did you mean '{near[0]}'?" if near else f"the keys are {', '.join(hints)}."
        raise TrainingError(f"'{key}' is no key of a recipe; {advice}")
    kind = hints[key]
    if get_origin(kind) is tuple:
        value = tuple(value) if isinstance(value, list) else (value, value)
        fits = all(isinstance(v, int) and v > 0 for v in value) and (key != "size" or len(value) == 2)
    elif get_origin(kind) is Literal:
        fits = value in get_args(kind)
    elif kind is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    elif kind is int:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    else:
        fits = isinstance(value, kind)
    if not fits:
        expected = " or ".join(map(repr, get_args(kind))) if get_origin(kind) is Literal else kind
        raise TrainingError(f"'{key}' = {value!r}: expected {getattr(expected, '__name__', expected)}.")
    return value


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, with lists for tuples: what a checkpoint holds and a TOML file says."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(recipe).items()}
