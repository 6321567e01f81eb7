"""Features: content on its way through the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from .blend import Blend


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Content on its way through the pipeline.

    Args:
        image: the content, [B, 3, H, W] in 0..1, by reference: skips and the result's size come from it.
        content: its untouched relu4_1 features, [B, C, ceil(H / 8), ceil(W / 8)], at least 2 x 2.
        current: the features after all blends so far, of the same shape.
        space: the encoder that they come from.
        blends: the styles received so far, in order.
        shallow: its untouched maps at the taps of the decoder's skips, if they were kept.
    """

    image: Tensor
    content: Tensor
    current: Tensor
    space: str
    blends: tuple[Blend, ...] = ()
    shallow: Mapping[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Features(image={list(self.image.shape)}, space={self.space!r}, blends={len(self.blends)})"

    def part(self, pictures: slice) -> Features:
        """Some pictures of the batch."""
        return replace(self._map(lambda x: x[pictures]), blends=tuple(blend.part(pictures) for blend in self.blends))

    def repeat(self, count: int) -> Features:
        """A single content as a batch of ``count``, without copying it."""
        return self._map(lambda x: x.expand(count, -1, -1, -1))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Features:
        content = function(self.content)
        current = content if self.current is self.content else function(self.current)
        shallow = {tap: function(x) for tap, x in self.shallow.items()}
        return replace(self, image=function(self.image), content=content, current=current, shallow=shallow)
