"""ComfyUI's progress bar and its stop button, as the one callback that adain_core knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar
from torch import Tensor, nn

from ..adain_core.runtime.progress import Progress, section

_STEPS = 1000


def progress_bar() -> Progress:
    """A callback that moves the bar of the running node and ends it when the user stops the queue."""
    bar = ProgressBar(_STEPS)

    def report(share: float) -> None:
        throw_exception_if_processing_interrupted()
        bar.update_absolute(round(share * _STEPS))

    return report


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
