"""The networks of a training run: the one that learns, and the loss network with what it remembers of a fixed set of
crops."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from adain_core.decoder import Decoder
from adain_core.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from adain_core.stats import StyleStats
from adain_core.transfer import Blend
from adain_core.weights import Weights, WeightsError, load_weights, resolve


def load_encoder(name: str) -> Weights:
    """The weights file with the encoder that a preset, an embedded model's name or a file stands for.

    Raises:
        WeightsError: there is no such file, or no encoder in it.
    """
    weights = load_weights(resolve(name))
    if weights.encoder is None:
        raise WeightsError(f"{weights.path} holds no encoder; name a file with an encoder.")
    return weights


class Stylizer(nn.Module):
    """Encoder, AdaIN and decoder as one module, from crops to pictures."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(
        self, content: Tensor, style: Tensor, known_content: Mapping[str, Tensor], known_style: Mapping[str, Tensor]
    ) -> Tensor:
        """Stylise content crops [B, 3, H, W] with style crops [B, 3, H, W]; what is known of their features is not
        computed again."""
        skips = self.decoder.skips
        content_features = self._features(content, (DEEPEST_TAP, *skips.taps), known_content)
        style_taps = (DEEPEST_TAP, *(skips.taps if skips.adain or skips.need_style_image else ()))
        style_features = self._features(style, style_taps, known_style)
        blend = Blend(StyleStats.measure(style_features, space=""))
        features = blend.apply(content_features[DEEPEST_TAP], content_features[DEEPEST_TAP], DEEPEST_TAP)
        maps = {}
        for tap in skips.taps:
            style_maps = [style_features[tap]] if skips.need_style_image else []
            maps[tap] = skips.maps(tap, content_features[tap], [blend], style_maps)
        return self.decoder(features, maps)

    def _features(self, images: Tensor, taps: tuple[str, ...], known: Mapping[str, Tensor]) -> dict[str, Tensor]:
        missing = [tap for tap in taps if tap not in known]
        return {**known, **(self.encoder(images, missing) if missing else {})}


class LossNetwork:
    """A frozen encoder that says what a picture should look like: relu4_1 of the contents and statistics of the styles.

    With ``remember``, its answers for each crop are kept (relu4_1 in half precision), so that a crop that comes again
    costs nothing.
    """

    def __init__(self, encoder: Encoder, remember: bool) -> None:
        self.encoder = encoder
        self.remember = remember
        self._contents: dict[int, Tensor] = {}
        self._styles: dict[int, tuple[dict[str, Tensor], dict[str, Tensor]]] = {}

    @torch.no_grad()
    def content_features(self, crops: Tensor, numbers: list[int]) -> Tensor:
        """relu4_1 of content crops [B, 3, H, W] with these numbers."""
        if not self.remember:
            return self.encoder(crops)[DEEPEST_TAP]
        new = [i for i, number in enumerate(numbers) if number not in self._contents]
        if new:
            features = self.encoder(crops[new])[DEEPEST_TAP].half()
            self._contents |= {numbers[i]: features[j].clone() for j, i in enumerate(new)}
        return torch.stack([self._contents[number].float() for number in numbers])

    @torch.no_grad()
    def style_stats(self, crops: Tensor, numbers: list[int]) -> StyleStats:
        """Statistics at all taps of style crops [B, 3, H, W] with these numbers."""
        if not self.remember:
            return StyleStats.measure(self.encoder(crops, STYLE_TAPS), space="")
        new = [i for i, number in enumerate(numbers) if number not in self._styles]
        if new:
            stats = StyleStats.measure(self.encoder(crops[new], STYLE_TAPS), space="")
            for j, i in enumerate(new):
                parts = ({tap: x[j].clone() for tap, x in part.items()} for part in (stats.mean, stats.std))
                self._styles[numbers[i]] = tuple(parts)
        mean, std = (
            {tap: torch.stack([self._styles[number][part][tap] for number in numbers]) for tap in STYLE_TAPS}
            for part in (0, 1)
        )
        return StyleStats(mean, std, space="")

    def features(self, pictures: Tensor) -> dict[str, Tensor]:
        """All taps of results [B, 3, H, W], differentiable."""
        return self.encoder(pictures, STYLE_TAPS)
