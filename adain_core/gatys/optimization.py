"""Style transfer and texture synthesis by optimization of the picture itself (Gatys, Ecker and Bethge 2015 and 2016).

A picture is changed until its features have the Gram matrices of the styles and stay near those of the content. Slow,
but what feed-forward methods are measured against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor, nn

from ..images.masks import checked_mask
from ..images.pictures import checked_image, resize
from ..networks.encoder import Encoder
from ..options import Init, Pooling
from ..runtime.memory import available_memory
from . import lbfgs
from .gram import Losses, Objective, Settings, Style

_ADAM_RATE = 0.02
_POOLING: dict[Pooling, type[nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
_SMALLEST_SCALE = 32
_STOP_WINDOW = 20
# Bytes that any optimization takes, as measured, beside two copies of the weights: the network's own, and one laid out
# for the convolutions.
_FIXED = 80 * 2**20


@dataclass(frozen=True)
class Step:
    """What a callback learns after each evaluation.

    Args:
        iteration: how many evaluations are done, from 1. Those whose loss is not finite do not count.
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
        """The share that is done; an early stop never reaches 1."""
        return self.iteration / self.iterations


OnStep = Callable[[Step], None]
"""Receives every step; an exception that it raises ends the optimization and passes through unchanged. For a
:data:`adain_core.runtime.progress.Progress` give ``lambda step: progress(step.share)``."""

_Report = Callable[[Losses, Tensor], None]


def ignore_step(step: Step) -> None:
    """The callback for those who do not want to know."""


@dataclass(frozen=True)
class Result:
    """What an optimization found.

    Args:
        picture: the one with the lowest loss at the full size, [1, 3, H, W] in 0..1, float32.
        losses: of every evaluation, in order.
        settings: those that were used, with the layers that the encoder has.
    """

    picture: Tensor
    losses: list[Losses]
    settings: Settings


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
    :func:`estimate_memory`: about 4 KB for each pixel with VGG-19, of which the L-BFGS history of 20 pairs takes half a
    KB.

    Args:
        encoder: any; is not changed. Its hooks are called, so that they can stop the work between two layers.
        content: [1, 3, H, W] in 0..1.
        styles: one or more.
        settings: by default Gatys' own.
        init: where to start: the content, white noise, or a picture [1, 3, h, w] such as AdaIN's result.
        on_step: receives every step; raise an exception in it to stop.

    Raises:
        ValueError: a picture, mask or setting is not one of these, the loss is not finite, or the memory would not
            suffice; the message says how much is needed and what would fit.
    """
    _check_picture("The content", content)
    if isinstance(init, Tensor):
        _check_picture("The start", init)
    elif init not in get_args(Init):
        raise ValueError(f"init is '{init}'; expected {' or '.join(get_args(Init))}, or a picture.")
    size = content.shape[-2], content.shape[-1]
    start = content if init == "content" else None if init == "noise" else init
    return _optimize(encoder, content, styles, size, settings or Settings(), start, on_step)


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
        ValueError: as :func:`stylize`.
    """
    return _optimize(encoder, None, styles, size, settings or Settings(), None, on_step)


def estimate_memory(encoder: Encoder, size: tuple[int, int], settings: Settings, styles: Sequence[Style] = ()) -> int:
    """About how many bytes an optimization of a picture of (H, W), or a look at the largest style if that takes more,
    needs at its peak, beside the encoder; on CPUs it is within a fifth of what processes were measured to take."""
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
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    picture = 4 * size[0] * size[1] * (floats + 2 * largest)
    looks = [_style_memory(encoder, style.image.shape[-2:], settings) for style in styles]
    return int(_FIXED + 8 * weights + max([picture, *looks]))


def _optimize(
    encoder: Encoder,
    content: Tensor | None,
    styles: Sequence[Style],
    size: tuple[int, int],
    settings: Settings,
    start: Tensor | None,
    on_step: OnStep,
) -> Result:
    _check(encoder, styles, size, settings)
    settings = settings.for_encoder(encoder)
    device = next(encoder.parameters()).device
    sizes = _scale_sizes(size, min(settings.scales, settings.iterations))
    losses: list[Losses] = []

    def report(now: Losses, picture: Tensor) -> None:
        losses.append(now)
        on_step(Step(len(losses), settings.iterations, now, picture))

    # Inside inference mode tensors cannot be differentiated; those made there are cloned first.
    with torch.inference_mode(False), torch.enable_grad():
        network = _own_copy(encoder, settings)
        target = None if content is None else _own(content, device)
        styles = [
            replace(s, image=_own(s.image, device), mask=None if s.mask is None else _own(s.mask, device))
            for s in styles
        ]
        picture = _own(_noise(size, settings) if start is None else resize(start, size), device).clamp(0, 1)
        for number, scaled in enumerate(sizes):
            objective = Objective(network, target, styles, scaled, scaled[0] / size[0], settings)
            budget = settings.iterations * (number + 1) // len(sizes) - len(losses)
            descent = _Descent(objective, resize(picture, scaled), budget, settings.tolerance, report)
            picture = descent.run(settings)
    return Result(picture, losses, settings)


class _Descent:
    """The evaluations at one scale: counts and reports them, keeps the best picture and says when to end."""

    def __init__(
        self, objective: Objective, picture: Tensor, iterations: int, tolerance: float, report: _Report
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
        (gradient,) = torch.autograd.grad(torch.stack(list(parts.values())).sum(), x)
        losses = Losses(**{name: part.item() for name, part in parts.items()})
        lowest = self.lowest[-1] if self.lowest else math.inf
        if not (math.isfinite(losses.total) and gradient.isfinite().all()):
            self.lowest.append(lowest)
            return math.inf, gradient
        if losses.total < lowest:
            self.best = picture.detach().clone()
        self.lowest.append(min(losses.total, lowest))
        self.report(losses, picture.detach().clone())
        return losses.total, gradient

    def done(self) -> bool:
        """Whether the evaluations are used up, or the last ones were in vain."""
        if len(self.lowest) >= self.iterations:
            return True
        if len(self.lowest) <= _STOP_WINDOW:
            return False
        return self.lowest[-1] > (1 - self.tolerance) * self.lowest[-1 - _STOP_WINDOW]

    def run(self, settings: Settings) -> Tensor:
        """The best picture that the optimizer finds."""
        if settings.optimizer == "lbfgs":
            lbfgs.minimize(self, self.best, settings.history, self.done)
        else:
            self._adam()
        if self.lowest[-1] == math.inf:
            raise ValueError("The loss is not finite even for the first picture; use smaller weights.")
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


def _scale_sizes(size: tuple[int, int], scales: int) -> list[tuple[int, int]]:
    """(H, W) of each scale, from coarse to fine."""
    factors = [
        2 ** (-step / 2) for step in reversed(range(1, scales)) if min(size) >= _SMALLEST_SCALE * 2 ** (step / 2)
    ]
    height, width = size
    return [*((round(height * factor), round(width * factor)) for factor in factors), size]


def _noise(size: tuple[int, int], settings: Settings) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(settings.seed))


def _own(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, torch.float32, copy=True).contiguous()


def _own_copy(encoder: Encoder, settings: Settings) -> Encoder:
    """The encoder with its hooks in float32, with the pooling that is asked for, differentiable whatever mode it was
    made in."""
    copy = deepcopy(encoder).float()
    copy.pool = _POOLING[settings.pooling](2, ceil_mode=True)
    return copy.eval().requires_grad_(False)


def _check(encoder: Encoder, styles: Sequence[Style], size: tuple[int, int], settings: Settings) -> None:
    if not styles:
        raise ValueError("There is no style; give one or more.")
    for style in styles:
        _check_picture("A style", style.image)
        if style.mask is not None:
            if style.mask.ndim != 2:
                raise ValueError(f"A style's mask has the shape {list(style.mask.shape)}; expected [H, W].")
            if not checked_mask(style.mask, 1).any():
                raise ValueError("A style's mask is zero everywhere; the style would be nowhere.")
    weights = [style.weight for style in styles]
    if not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) == 0:
        raise ValueError(f"The weights of the styles are {weights}; expected finite numbers from 0 on, not all 0.")
    if min(size) < 1:
        raise ValueError(f"The size {size} is empty; expected a height and a width from 1 on.")
    _check_memory(encoder, styles, size, settings)


def _check_picture(name: str, picture: Tensor) -> None:
    if picture.ndim != 4 or picture.shape[:2] != (1, 3) or 0 in picture.shape:
        raise ValueError(f"{name} has the shape {list(picture.shape)}; expected one picture [1, 3, H, W], not empty.")
    checked_image(picture)


def _check_memory(encoder: Encoder, styles: Sequence[Style], size: tuple[int, int], settings: Settings) -> None:
    available = available_memory(next(encoder.parameters()).device)
    if available is None:
        return
    fixed = estimate_memory(encoder, (0, 0), settings)
    style = max((style.image.shape[-2:] for style in styles), key=math.prod)
    requests = (
        ("picture", size, estimate_memory(encoder, size, settings)),
        ("style", style, fixed + _style_memory(encoder, style, settings)),
    )
    for what, asked, needed in requests:
        if needed > available:
            share = max(0, available - fixed) / (needed - fixed)
            height, width = (math.floor(side * math.sqrt(share)) for side in asked)
            raise ValueError(
                f"A {what} of {asked[1]}x{asked[0]} would need about {needed / 2**30:.1f} GiB of memory, but"
                f" {available / 2**30:.1f} GiB are free; use at most {width}x{height}."
            )


def _style_memory(encoder: Encoder, size: Sequence[int], settings: Settings) -> int:
    """About how many bytes it takes to encode a style of (h, w): its copy, the maps before a ReLU that are kept, and a
    convolution's input and output, both twice, as CPUs lay them out anew. Within a fifth of what was measured there."""
    kept = channels = 3.0
    floats = 0.0
    for block, (names, width) in enumerate(zip(encoder.blocks, encoder.widths, strict=True)):
        for name in names:
            floats = max(floats, kept + 2 * (channels + width) / 4**block)
            kept += width / 4**block if name in settings.style_taps else 0
            channels = width
    return int(4 * size[0] * size[1] * floats)
