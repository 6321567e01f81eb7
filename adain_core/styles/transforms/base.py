"""What a feature transform says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..stats import Detail, StyleStats


class Move(Protocol):
    """From content features [B, C, H, W], a style, its tap and a soft mask [B or 1, 1, H, W] to stylized features.

    Statistics of the content are measured under the mask, or are those of ``content`` where it has the tap: the
    features may be a tile of a larger map, or a frame of a film whose statistics are smoothed over time.
    """

    def __call__(
        self, features: Tensor, style: StyleStats, tap: str, mask: Tensor | None, content: StyleStats | None
    ) -> Tensor: ...


@dataclass(frozen=True)
class Transform:
    """A way for content features to take on a style.

    Args:
        name: what users call it.
        summary: what it does to the features, to stand behind its name.
        move: what it does with a tap's features.
        needs: what a style must have been measured with, besides means and standard deviations.
        takes: what it takes of the content's statistics besides; these can come from elsewhere, such as smoothed over
            the frames of a film.
        by_thumbnail: whether the content's statistics may be those of a thumbnail.
        at_skips: whether it acts at the taps of a decoder's skips too, where a style has what it needs there; else what
            the decoder was trained with stands for it.
    """

    name: str
    summary: str
    move: Move
    needs: tuple[Detail, ...] = ()
    takes: tuple[Detail, ...] = ()
    by_thumbnail: bool = False
    at_skips: bool = False

    def __repr__(self) -> str:
        return f"Transform({self.name!r})"

    def lacks(self, style: StyleStats, tap: str) -> list[Detail]:
        """What it needs of a style at a tap and does not find."""
        return [detail for detail in self.needs if tap not in getattr(style, detail)]

    def detail_of(self, style: StyleStats, tap: str) -> Tensor:
        """What it needs of a style at a tap.

        Raises:
            ValueError: the style was measured without it.
        """
        (detail,) = self.needs
        if self.lacks(style, tap):
            raise ValueError(
                f"The transform '{self.name}' needs the style's {detail} at {tap}, which a style or its file has only"
                f" if it was measured with the detail {detail}; measure its picture so, or use the transform 'adain'."
            )
        return getattr(style, detail)[tap]


def content_stats(
    features: Tensor, tap: str, mask: Tensor | None, given: StyleStats | None, *detail: Detail
) -> StyleStats:
    """The content's statistics at a tap, as given or else measured."""
    if given is not None and tap in given.mean and all(tap in getattr(given, name) for name in detail):
        return given
    return StyleStats.measure({tap: features}, "", mask, detail=detail)
