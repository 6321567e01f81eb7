"""Skip connections: what a decoder receives from the encoder's shallow taps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

Join = Literal["plain", "add", "concat", "concat2"]
Source = Literal["content", "style", "both"]
Normalization = Literal["adain", "transport"]

SKIP_TAPS = ("relu1_1", "relu2_1", "relu3_1")


@dataclass(frozen=True)
class Skips:
    """What a decoder receives from the three shallow encoder taps besides the features themselves.

    Written as one word: ``plain``, ``add-content``, ``concat-both``, ``concat-content-adain``,
    ``concat-content-transport``, ...

    Args:
        join: ``plain`` (no skips), ``add``, ``concat`` or ``concat2`` (the study's own: at two of the taps, see
            :class:`~adain_core.networks.decoder.Decoder`).
        source: whose encoder maps; those of the style are resized to the content's grid.
        normalization: give the content's maps the style's statistics first: ``adain`` its means and standard deviations
            (the study's outlook), ``transport`` at relu1_1 its covariance too, by optimal transport, since colors lie
            across channels there.
        strength: factor on added maps; a decoder is trained for one.

    Raises:
        ValueError: there is no such kind of skips, or the strength is not finite.
    """

    join: Join = "plain"
    source: Source = "content"
    normalization: Normalization | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            raise ValueError(f"The strength of the skips is {self.strength}; expected a finite number.")
        known = self.join in get_args(Join) and self.source in get_args(Source)
        known = known and self.normalization in (None, *get_args(Normalization))
        if not known or (self.normalization and self.source == "style"):
            raise _no_skips(str(self))

    @classmethod
    def parse(cls, name: str, strength: float = 1.0) -> Skips:
        """The skips that a word such as ``concat-content-adain`` names.

        Raises:
            ValueError: the word names no kind of skips, or the strength is not finite.
        """
        kinds = product(get_args(Join), get_args(Source), (None, *get_args(Normalization)))
        for join, source, normalization in kinds:
            if normalization and source == "style":
                continue
            if str(skips := cls(join, source, normalization, strength)) == name:
                return skips
        raise _no_skips(name)

    def __str__(self) -> str:
        if self.join == "plain":
            return "plain"
        return "-".join([self.join, self.source, *([self.normalization] if self.normalization else [])])

    @property
    def taps(self) -> tuple[str, ...]:
        """The encoder taps that the decoder needs, shallow ones only."""
        return {"plain": (), "concat2": SKIP_TAPS[:2]}.get(self.join, SKIP_TAPS)

    @property
    def transported(self) -> tuple[str, ...]:
        """The taps where the style's covariance is needed too."""
        return self.taps[:1] if self.normalization == "transport" else ()

    @property
    def names(self) -> tuple[str, ...]:
        """Whose maps join at each tap, in order."""
        if self.join == "plain":
            return ()
        return ("content", "style") if self.source == "both" else (self.source,)

    @property
    def need_style_image(self) -> bool:
        """Whether statistics are not enough: the style's own maps go into the decoder."""
        return self.join != "plain" and self.source != "content"


def _no_skips(name: str) -> ValueError:
    return ValueError(
        f"'{name}' is no kind of decoder; expected 'plain' or 'add', 'concat' or 'concat2' with '-content', '-style' or"
        " '-both', and after it '-adain' for AdaIN on the content's skips, or '-transport'."
    )
