"""Style transfer and texture synthesis by optimisation of the picture itself (Gatys, Ecker and Bethge 2015 and 2016).

A picture is changed until its features have the Gram matrices of the styles and stay near those of the content. Slow,
but what feed-forward methods are measured against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from . import lbfgs
from .encoder import Encoder
from .images import resize
from .measure import total_variation
from .memory import available_memory
from .stats import resize_mask

Init = Literal["content", "noise"]

_ADAM_RATE = 0.02
_OPTIMIZERS = ("lbfgs", "adam")
_POOLING = {"max": F.max_pool2d, "average": F.avg_pool2d}
_SMALLEST_SCALE = 32
_STOP_WINDOW = 20


@dataclass(frozen=True)
class Settings:
    """What is optimised, and how. The defaults are Gatys' own choice of layers and weights, as in his PyTorch program.

    Args:
        content_tap: the layer whose features stay near the content's.
        style_taps: the layers whose Gram matrices become the style's.
        content_weight: factor on the content loss, the mean squared difference of the features.
        style_weight: factor on the style loss, see :func:`gram_distance`.
        variation_weight: factor on the total variation of the picture (:func:`adain_core.measure.total_variation`).
        optimizer: ``lbfgs`` (step size 1, no line search) or ``adam`` (learning rate 0.02).
        iterations: evaluations of the loss and its gradient in all, shared equally by the scales. A step of either
            optimiser is one evaluation.
        scales: from coarse to fine, each larger than the one before by sqrt(2); the last one is the full size. Scales
            whose short side would have less than 32 pixels are left out.
        history: pairs of vectors that L-BFGS remembers; each takes 24 bytes for each pixel of the picture.
        tolerance: a scale ends when its best loss fell by a smaller share than this over 20 evaluations; 0 for never.
        pooling: ``max`` as in VGG-19, or ``average``, which Gatys found to give slightly nicer pictures.
        seed: of the noise.
    """

    content_tap: str = "relu4_2"
    style_taps: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    content_weight: float = 1.0
    style_weight: float = 1e3
    variation_weight: float = 0.0
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    iterations: int = 500
    scales: int = 1
    history: int = 20
    tolerance: float = 0.0
    pooling: Literal["max", "average"] = "max"
    seed: int = 0

    def for_encoder(self, encoder: Encoder) -> Settings:
        """The same settings with layers that the encoder has: styles without those that it lacks, content at its last
        layer where it lacks the one that was asked for (relu4_1 for an encoder of four blocks).

        Raises:
            ValueError: none of the style layers exists.
        """
        layers = [name for names in encoder.blocks for name in names]
        known = {tap for name in layers for tap in (name, name.replace("conv", "relu"))}
        style_taps = tuple(tap for tap in self.style_taps if tap in known)
        if not style_taps:
            raise ValueError(
                f"This encoder has none of the layers {', '.join(self.style_taps)}; it ends at relu{layers[-1][4:]}."
            )
        content_tap = self.content_tap if self.content_tap in known else f"relu{layers[-1][4:]}"
        return replace(self, content_tap=content_tap, style_taps=style_taps)


PRESETS = {
    "gatys": Settings(),
    "tutorial": Settings(
        content_tap="conv2_2",
        style_taps=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
        style_weight=1e6,
        iterations=300,
        history=100,
    ),
}
"""``gatys``: the layers of the paper. ``tutorial``: what PyTorch's widely used tutorial does, which is not Gatys'
choice: the first five convolutions before their ReLUs, content at the fourth, style weight 1e6, 300 evaluations. It is
meant for torchvision's VGG-19."""


@dataclass(frozen=True)
class Style:
    """One style of an optimisation.

    Args:
        image: [1, 3, h, w] in 0..1; its own size is kept.
        weight: relative to the other styles.
        mask: where in the result, [H, W] in 0..1, any size; everywhere if not given.
    """

    image: Tensor
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True)
class Losses:
    """The weighted parts of the loss, which add up to ``total``."""

    content: float
    style: float
    variation: float

    @property
    def total(self) -> float:
        return self.content + self.style + self.variation


@dataclass(frozen=True)
class Step:
    """What a callback learns after each evaluation.

    Args:
        iteration: how many evaluations are done, from 1.
        iterations: how many there will be at most.
        losses: at this evaluation.
        picture: the picture that was evaluated, [1, 3, h, w] in 0..1; smaller than the result at coarse scales.
    """

    iteration: int
    iterations: int
    losses: Losses
    picture: Tensor

    @property
    def share(self) -> float:
        """The share that is done, for a :data:`adain_core.progress.Progress`; an early stop never reaches 1."""
        return self.iteration / self.iterations


OnStep = Callable[[Step], None]
"""Receives every step; an exception that it raises ends the optimisation and passes through unchanged."""


_Report = Callable[[Losses, Tensor], None]


def ignore_step(step: Step) -> None:
    """The callback for those who do not want to know."""


@dataclass(frozen=True)
class Result:
    """What an optimisation found.

    Args:
        picture: the one with the lowest loss at the full size, [1, 3, H, W] in 0..1, float32.
        losses: of every evaluation, in order.
        settings: those that were used, with the layers that the encoder has.
    """

    picture: Tensor
    losses: list[Losses] = field(repr=False)
    settings: Settings = field(default_factory=Settings)


def stylize(
    encoder: Encoder,
    content: Tensor,
    styles: Sequence[Style],
    settings: Settings | None = None,
    init: Init | Tensor = "content",
    on_step: OnStep = ignore_step,
) -> Result:
    """A picture with the content of one and the style of others (Gatys et al. 2016, equation 7).

    Runs in float32 on the encoder's device, inside ``torch.inference_mode`` too. The peak of memory is near
    :func:`estimate_memory`: about 2 KB for each pixel with VGG-19, and 24 bytes for each pixel and pair of the
    L-BFGS history.

    Args:
        encoder: any; is not changed.
        content: [1, 3, H, W] in 0..1.
        styles: one or more.
        settings: by default Gatys' own.
        init: where to start: the content, white noise, or a picture [1, 3, h, w] such as AdaIN's result.
        on_step: receives every step; raise an exception in it to stop.

    Raises:
        ValueError: a picture, mask or setting is not one of these, or the memory would not suffice; the message says
            how much is needed and what would fit.
        FloatingPointError: the loss is not finite from the start.
    """
    _check_picture("The content", content)
    if isinstance(init, Tensor):
        _check_picture("The start", init)
    return _optimize(encoder, content, styles, tuple(content.shape[-2:]), settings or Settings(), init, on_step)


def synthesize_texture(
    encoder: Encoder,
    styles: Sequence[Style],
    size: tuple[int, int],
    settings: Settings | None = None,
    on_step: OnStep = ignore_step,
) -> Result:
    """A texture with the Gram matrices of pictures, from white noise (Gatys et al. 2015).

    Args:
        encoder: any; is not changed.
        styles: one or more.
        size: (H, W) of the texture, whatever that of the styles is.
        settings: as for :func:`stylize`, without the content's.
        on_step: as for :func:`stylize`.

    Raises:
        ValueError, FloatingPointError: as :func:`stylize`.
    """
    return _optimize(encoder, None, styles, size, settings or Settings(), "noise", on_step)


def gram_matrix(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean products of the channels of a feature map.

    Args:
        features: [B, C, H, W].
        mask: a soft mask [B or 1, 1, H, W], not zero everywhere: a weighted mean.

    Returns:
        ``F F^T / HW``, [B, C, C].
    """
    if mask is None:
        x = features.flatten(2) / math.sqrt(features[0, 0].numel())
    else:
        x = (features * (mask / mask.sum(dim=(-2, -1), keepdim=True)).sqrt()).flatten(2)
    return x @ x.mT


def gram_distance(a: Tensor, b: Tensor) -> Tensor:
    """Distance of two Gram matrices [B, C, C]: their mean squared difference divided by C squared, so that wide layers
    do not outweigh narrow ones (Gatys et al. 2016, equation 4, times 4 and by C squared)."""
    return (a - b).square().mean() / a.shape[-1] ** 2


def estimate_memory(encoder: Encoder, size: tuple[int, int], settings: Settings) -> int:
    """About how many bytes an optimisation of a picture of (H, W) takes at its peak, beside the encoder."""
    floats = 3.0 * (2 * settings.history + 10 if settings.optimizer == "lbfgs" else 10)
    channels = 3
    largest = 0.0
    for block, (names, width) in enumerate(zip(encoder.blocks, encoder.widths, strict=True)):
        pixels = 1 / 4**block
        # Pooling remembers where its maxima were, in 64 bits.
        floats += 2 * channels * pixels if block else 0
        for _ in names:
            floats += (channels + width) * pixels
            largest = max(largest, (channels + 2 * width) * pixels)
            channels = width
    return int(4 * size[0] * size[1] * (floats + largest))


def _optimize(
    encoder: Encoder,
    content: Tensor | None,
    styles: Sequence[Style],
    size: tuple[int, int],
    settings: Settings,
    init: Init | Tensor,
    on_step: OnStep,
) -> Result:
    _check(encoder, styles, size, settings)
    settings = settings.for_encoder(encoder)
    device = next(encoder.parameters()).device
    sizes = _scale_sizes(size, settings.scales)
    losses: list[Losses] = []

    def report(now: Losses, picture: Tensor) -> None:
        losses.append(now)
        on_step(Step(len(losses), settings.iterations, now, picture))

    # Inside inference mode tensors cannot be differentiated; those made there are cloned first.
    with torch.inference_mode(False), torch.enable_grad():
        network = _own_copy(encoder, settings)
        target = None if content is None else _own(content, device)
        styles = [replace(style, image=_own(style.image, device)) for style in styles]
        picture = _own(_first_picture(target, size, init, settings), device)
        for number, scaled in enumerate(sizes):
            objective = _Objective(network, target, styles, scaled, scaled[0] / size[0], settings)
            budget = settings.iterations * (number + 1) // len(sizes) - len(losses)
            descent = _Descent(objective, resize(picture, scaled), budget, settings.tolerance, report)
            picture = descent.run(settings)
    return Result(picture, losses, settings)


class _Descent:
    """The evaluations at one scale: counts and reports them, keeps the best picture and says when to end."""

    def __init__(
        self, objective: _Objective, picture: Tensor, iterations: int, tolerance: float, report: _Report
    ) -> None:
        self.objective = objective
        self.best = picture
        self.iterations = iterations
        self.tolerance = tolerance
        self.report = report
        self.lowest: list[float] = []

    def __call__(self, picture: Tensor) -> tuple[float, Tensor]:
        """The loss of a picture, infinite where it or its gradient is not finite, and the gradient."""
        x = picture.detach().requires_grad_()
        parts = self.objective(x)
        (gradient,) = torch.autograd.grad(sum(parts.values()), x)
        losses = Losses(**{name: part.item() for name, part in parts.items()})
        loss = losses.total if math.isfinite(losses.total) and gradient.isfinite().all() else math.inf
        lowest = self.lowest[-1] if self.lowest else math.inf
        if loss < lowest:
            self.best = picture.detach().clone()
        self.lowest.append(min(loss, lowest))
        self.report(losses, x.detach().clone())
        return loss, gradient

    def done(self) -> bool:
        """Whether the evaluations are used up, or the last ones were in vain."""
        if len(self.lowest) >= self.iterations:
            return True
        if len(self.lowest) <= _STOP_WINDOW:
            return False
        return self.lowest[-1] > (1 - self.tolerance) * self.lowest[-1 - _STOP_WINDOW]

    def run(self, settings: Settings) -> Tensor:
        """The best picture that the optimiser finds."""
        if settings.optimizer == "lbfgs":
            lbfgs.minimize(self, self.best, settings.history, self.done)
        else:
            self._adam()
        if self.lowest[-1] == math.inf:
            raise FloatingPointError("The loss is never finite; use smaller weights.")
        return self.best

    def _adam(self) -> None:
        x = self.best.clone()
        optimizer = torch.optim.Adam([x], lr=_ADAM_RATE)
        while not self.done():
            loss, gradient = self(x)
            if loss == math.inf:
                x = self.best.clone()
                optimizer = torch.optim.Adam([x], lr=_ADAM_RATE)
                continue
            x.grad = gradient
            optimizer.step()
            x.clamp_(0, 1)


class _Objective:
    """The loss of pictures at one scale.

    Args:
        content: [1, 3, H, W] at full size, or nothing for a texture.
        size: (h, w) of the pictures at this scale.
        scale: by which the styles are scaled, like the picture.
    """

    def __init__(
        self,
        network: Encoder,
        content: Tensor | None,
        styles: Sequence[Style],
        size: tuple[int, int],
        scale: float,
        settings: Settings,
    ) -> None:
        self.network = network
        self.settings = settings
        self.content = None
        self.grams = []
        device = next(network.parameters()).device
        self.masks = [style.mask if style.mask is None else _own(style.mask[None, None], device) for style in styles]
        self.shares = [style.weight / sum(s.weight for s in styles) for style in styles]
        with torch.no_grad():
            if content is not None:
                self.content = self._features(resize(content, size), [settings.content_tap])[settings.content_tap]
            for style in styles:
                image = resize(style.image, tuple(max(1, round(side * scale)) for side in style.image.shape[-2:]))
                features = self._features(image, settings.style_taps)
                self.grams.append({tap: gram_matrix(x) for tap, x in features.items()})

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """The fields of :class:`Losses`, differentiable."""
        settings = self.settings
        picture = self._padded(picture)
        zero = picture.new_zeros(())
        taps = [*settings.style_taps, *([] if self.content is None else [settings.content_tap])]
        features = self._features(picture, taps)
        content = zero if self.content is None else F.mse_loss(features[settings.content_tap], self.content)
        style = zero
        for grams, mask, share in zip(self.grams, self.masks, self.shares, strict=True):
            for tap, gram in grams.items():
                weight = None if mask is None else resize_mask(mask, features[tap].shape[-2:])
                style = style + share * gram_distance(gram_matrix(features[tap], weight), gram)
        variation = total_variation(picture) if settings.variation_weight else zero
        return {
            "content": settings.content_weight * content,
            "style": settings.style_weight * style,
            "variation": settings.variation_weight * variation,
        }

    def _features(self, picture: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        return self.network(self._padded(picture), taps)

    def _padded(self, picture: Tensor) -> Tensor:
        """Pictures that are too small for the deepest layer are continued by their last row and column."""
        smallest = 2 ** len(self.network.widths)
        height, width = (max(0, smallest - side) for side in picture.shape[-2:])
        return F.pad(picture, (0, width, 0, height), mode="replicate") if height or width else picture


def _scale_sizes(size: tuple[int, int], scales: int) -> list[tuple[int, int]]:
    """(H, W) of each scale, from coarse to fine."""
    factors = [
        2 ** (-step / 2) for step in reversed(range(1, scales)) if min(size) >= _SMALLEST_SCALE * 2 ** (step / 2)
    ]
    return [*[tuple(round(side * factor) for side in size) for factor in factors], size]


def _first_picture(content: Tensor | None, size: tuple[int, int], init: Init | Tensor, settings: Settings) -> Tensor:
    if isinstance(init, Tensor):
        return resize(init, size)
    if init == "content":
        return content
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(settings.seed))


def _own(picture: Tensor, device: torch.device) -> Tensor:
    return picture.to(device, torch.float32, copy=True).contiguous()


def _own_copy(encoder: Encoder, settings: Settings) -> Encoder:
    """The encoder in float32, with the pooling that is asked for, differentiable whatever mode it was made in."""
    with torch.device("meta"):
        copy = Encoder(encoder.widths)
    copy.load_state_dict({key: x.float().clone() for key, x in encoder.state_dict().items()}, assign=True)
    copy.pool = _POOLING[settings.pooling]
    return copy.eval().requires_grad_(False)


def _check(encoder: Encoder, styles: Sequence[Style], size: tuple[int, int], settings: Settings) -> None:
    for name in ("iterations", "scales", "history"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name} is {getattr(settings, name)}; expected a whole number from 1 on.")
    for name in ("content_weight", "style_weight", "variation_weight", "tolerance"):
        if not (math.isfinite(getattr(settings, name)) and getattr(settings, name) >= 0):
            raise ValueError(f"{name} is {getattr(settings, name)}; expected a finite number, not negative.")
    for name, known in (("optimizer", _OPTIMIZERS), ("pooling", _POOLING)):
        if getattr(settings, name) not in known:
            raise ValueError(f"{name} is '{getattr(settings, name)}'; expected {' or '.join(known)}.")
    if not styles:
        raise ValueError("There is no style; give one or more.")
    for style in styles:
        _check_picture("A style", style.image)
        if style.mask is not None and (style.mask.ndim != 2 or not style.mask.gt(0).any()):
            raise ValueError(
                f"A style's mask has the shape {list(style.mask.shape)}; expected [H, W], not zero everywhere."
            )
    weights = [style.weight for style in styles]
    if not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) == 0:
        raise ValueError(f"The weights of the styles are {weights}; expected finite numbers from 0 on, not all 0.")
    if min(size) < 1:
        raise ValueError(f"The size {size} is empty; expected a height and a width from 1 on.")
    _check_memory(encoder, size, settings)


def _check_picture(name: str, picture: Tensor) -> None:
    if picture.ndim != 4 or picture.shape[:2] != (1, 3) or 0 in picture.shape:
        raise ValueError(f"{name} has the shape {list(picture.shape)}; expected one picture [1, 3, H, W], not empty.")


def _check_memory(encoder: Encoder, size: tuple[int, int], settings: Settings) -> None:
    needed = estimate_memory(encoder, size, settings)
    available = available_memory(next(encoder.parameters()).device)
    if available is not None and needed > available:
        height, width = (math.floor(side * math.sqrt(available / needed)) for side in size)
        raise ValueError(
            f"A picture of {size[1]}x{size[0]} would need about {needed / 2**30:.1f} GiB of memory, but"
            f" {available / 2**30:.1f} GiB are free; use at most {width}x{height}."
        )
