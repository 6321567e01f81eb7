"""ComfyUI's progress bar, its previews and its stop button, as the callbacks that adain_core knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter

from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar
from torch import Tensor, nn

from ..adain_core.images.pictures import Picture, to_pil
from ..adain_core.runtime.progress import Progress, section

_STEPS = 1000
_PREVIEW_SIDE = 512
_PREVIEWS_AFTER = 1.0
"""Seconds of work without any: what is done by then shows itself."""
_REST = 100
"""How many times as long as the last preview took there is none, so that they cost about a hundredth of the time."""


class NodeProgress:
    """Moves the bar of the running node, shows pictures below it, and ends the work when the user stops the queue."""

    def __init__(self) -> None:
        self._bar = ProgressBar(_STEPS)
        self._next = perf_counter() + _PREVIEWS_AFTER

    def __call__(self, share: float) -> None:
        throw_exception_if_processing_interrupted()
        self._bar.update_absolute(round(share * _STEPS))

    def preview(self, pictures: Tensor) -> None:
        """Show the last of some pictures [B, 3, H, W], if it is time for one."""
        start = perf_counter()
        if start < self._next:
            return
        step = max(1, min(pictures.shape[-2:]) // _PREVIEW_SIDE)
        picture = to_pil(Picture(pictures[-1:, :, ::step, ::step]))
        self._bar.update_absolute(self._bar.current, preview=("JPEG", picture, _PREVIEW_SIDE))
        end = perf_counter()
        self._next = end + _REST * (end - start)

    def previewed(self, results: Iterable[Tensor]) -> Iterator[Tensor]:
        """Results [B, 3, H, W] as they come, some of them shown."""
        for pictures in results:
            self.preview(pictures)
            yield pictures


def in_turn(parts: Sequence[slice], progress: Progress) -> Iterator[tuple[slice, Progress]]:
    """The parts of a batch, each with a callback for its section of the whole."""
    count = parts[-1].stop
    for part in parts:
        yield part, section(progress, part.start / count, part.stop / count)


def heed_stop(share: float) -> None:
    """A callback that only ends the work when the user stops the queue."""
    throw_exception_if_processing_interrupted()


def interrupt_between_layers(networks: nn.Module) -> None:
    """Let the stop button end a pass through the networks, or one back for a gradient, at any convolution: one pass
    over a large picture takes seconds on a CPU."""

    def check(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        throw_exception_if_processing_interrupted()
        if inputs[0].requires_grad:
            inputs[0].register_hook(lambda _: throw_exception_if_processing_interrupted())

    for module in networks.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(check)
