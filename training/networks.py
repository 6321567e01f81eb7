"""The networks of a training run: the one that learns, and the loss network with what it remembers of a fixed set of
crops."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from adain_core.networks.convolution import Conv3x3
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import DEEPEST_TAP, IMAGENET_MEAN, IMAGENET_STD, STYLE_TAPS, Encoder
from adain_core.networks.skips import Skips
from adain_core.pipeline.blend import Blend, paint
from adain_core.styles.stats import StyleStats

from .normalization import LearnedNormalization


def initialize(network: Encoder | Decoder) -> None:
    """Start from He's initialization, which keeps the scale of activations through ReLUs, around a gray picture."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            last = isinstance(network, Decoder) and name == "conv1_1"
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if last else "relu")
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.5 if last else 0.0)
    if isinstance(network, Encoder):
        network.color.weight.copy_(4 * torch.eye(3))
        network.color.bias.fill_(-2)
        return
    for name in network.names:  # convolutions whose outputs add up are one that sees all their channels
        together: list[Conv3x3] = [getattr(network, part) for part in network.parts_of(name)]
        channels = sum(conv.in_channels for conv in together)
        for conv in together:
            conv.weight.data.mul_((conv.in_channels / channels) ** 0.5)


def take_over(network: nn.Module, start: nn.Module) -> None:
    """Copy the tensors of another network that have the same name and shape here."""
    known = start.state_dict()
    own = network.state_dict()
    network.load_state_dict({key: known[key] if _fits(known.get(key), own[key]) else own[key] for key in own})


def _fits(tensor: Tensor | None, place: Tensor) -> bool:
    return tensor is not None and tensor.shape == place.shape


def with_normalized_input(encoder: Encoder) -> Encoder:
    """The same encoder for images from which ImageNet's mean and standard deviation are removed first (the study,
    2.3.2). An affine map before an affine map is one, so this changes the color map alone."""
    changed = copy.deepcopy(encoder)
    color = changed.color
    color.weight.div_(torch.tensor(IMAGENET_STD))
    color.bias.sub_(color.weight @ torch.tensor(IMAGENET_MEAN))
    return changed


class NormalizedDecoder(Decoder):
    """A decoder that paints in the normalized domain, as the study's did for pre-normalized images: what its last
    convolution gives has ImageNet's mean and standard deviation removed. They come back at its end, so the pictures are
    those of any decoder.

    Args:
        widths: those of the encoder.
        skips: what joins the decoder from the encoder.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, widths: Sequence[int], skips: Skips) -> None:
        super().__init__(widths, skips)
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, features: Tensor, maps: Mapping[str, Sequence[Tensor]] | None = None) -> Tensor:
        """Decode as any decoder does: [B, 3, 8 H, 8 W], about 0..1, not clamped."""
        return super().forward(features, maps).float() * self.std.view(3, 1, 1) + self.mean.view(3, 1, 1)

    @torch.no_grad()
    def take_over(self, start: Decoder) -> None:
        """Begin with the tensors of an ordinary decoder, as far as they fit, so that its last convolution gives the
        same pictures."""
        start = copy.deepcopy(start)
        start.conv1_1.weight /= self.std.view(3, 1, 1, 1)
        start.conv1_1.bias.sub_(self.mean).div_(self.std)
        take_over(self, start)

    @torch.no_grad()
    def folded(self) -> Decoder:
        """The ordinary decoder with the same pictures: mean and deviation are in its last convolution."""
        decoder = Decoder(self.widths, self.skips, self.style_inside).to(self.mean.device)
        decoder.load_state_dict(self.state_dict())
        decoder.conv1_1.weight *= self.std.view(3, 1, 1, 1)
        decoder.conv1_1.bias.mul_(self.std).add_(self.mean)
        return decoder


class Stylizer(nn.Module):
    """Encoder, normalization and decoder as one module, from crops to pictures.

    Args:
        encoder: frozen or learning.
        decoder: learning.
        normalization: what stands in AdaIN's place, for the comparison of normalizations.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        normalization: LearnedNormalization | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.normalization = normalization

    def forward(
        self,
        content: Tensor,
        style: Tensor,
        style_images: Tensor,
        content_features: Tensor | None = None,
        stats: StyleStats | None = None,
    ) -> Tensor:
        """Stylize crops; what is known of their features is not computed again.

        Args:
            content: [B, 3, H, W] in 0..1.
            style: [B, 3, H, W] in 0..1.
            style_images: the number of each style's image in its folder, [B]; conditional normalization chooses by it.
            content_features: this encoder's relu4_1 of the contents, if known.
            stats: this encoder's means and standard deviations of the styles at all taps, if known.

        Returns:
            [B, 3, H, W], not clamped.
        """
        skips = self.decoder.skips
        known = {} if content_features is None else {DEEPEST_TAP: content_features}
        content_maps = self._encode(content, (DEEPEST_TAP, *skips.taps), known)
        if self.normalization:
            normalized = self.normalization(content_maps[DEEPEST_TAP], style_images)
            return paint(self.decoder, content_maps | {DEEPEST_TAP: normalized}, [])
        missing = skips.transported if stats else (DEEPEST_TAP, *(skips.taps if skips.normalization else ()))
        style_maps = self._encode(style, {*missing, *(skips.taps if skips.need_style_image else ())})
        maps = {tap: style_maps[tap] for tap in missing}
        measured = StyleStats.measure(maps, space="", covariance_at=skips.transported)
        stats = replace(stats, covariance=measured.covariance) if stats else measured
        return paint(self.decoder, content_maps, [Blend(stats)], [style_maps] if skips.need_style_image else [])

    def _encode(
        self, images: Tensor, taps: Sequence[str] | set[str], known: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        found = dict(known or {})
        missing = [tap for tap in taps if tap not in found]
        return found | self.encoder(images, missing) if missing else found


class Average(AveragedModel):
    """A moving average of a stylizer's weights."""

    module: Stylizer


class CropCache:
    """What is known of a pool's crops, by their numbers. All in one block: thousands of small tensors that stay among
    a step's large ones that go would leave holes in the memory that nothing fits into.

    Args:
        count: of the crops, numbered from 0.
    """

    def __init__(self, count: int) -> None:
        self._here = torch.zeros(count, dtype=torch.bool)
        self._block = torch.empty(0)

    def get(self, numbers: list[int], compute: Callable[[list[int]], Tensor]) -> Tensor:
        """The tensors of some numbers, [len(numbers), ...]; ``compute`` makes those of the places in ``numbers`` that
        are not known yet."""
        missing = [place for place, number in enumerate(numbers) if not self._here[number]]
        if missing:
            found = compute(missing)
            if not self._here.any():
                self._block = found.new_empty(len(self._here), *found.shape[1:])
            chosen = [numbers[place] for place in missing]
            self._block[chosen] = found
            self._here[chosen] = True
        return self._block[numbers]


class LossNetwork:
    """A frozen encoder that says what a picture should look like: relu4_1 of the contents and statistics of the styles.
    A decoder for it can say of what colors, too.

    Args:
        encoder: with all of STYLE_TAPS.
        pool: number of different crops of each kind, whose answers are kept (relu4_1 in half precision), so that a crop
            that comes again costs nothing; 0 keeps none.
        color_teacher: a frozen plain decoder for the encoder's features.
    """

    def __init__(self, encoder: Encoder, pool: int = 0, color_teacher: Decoder | None = None) -> None:
        self.encoder = encoder
        self.color_teacher = color_teacher
        self._contents = CropCache(pool) if pool else None
        self._styles = CropCache(pool) if pool else None

    @torch.no_grad()
    def content_features(self, crops: Tensor, numbers: list[int]) -> Tensor:
        """relu4_1 of content crops [B, 3, H, W] with these numbers."""
        if not self._contents:
            return self.encoder(crops)[DEEPEST_TAP]
        return self._contents.get(numbers, lambda places: self.encoder(crops[places])[DEEPEST_TAP].half()).float()

    @torch.no_grad()
    def style_stats(self, crops: Tensor, numbers: list[int]) -> StyleStats:
        """Statistics at all taps of style crops [B, 3, H, W] with these numbers."""
        if not self._styles:
            return StyleStats.measure(self.encoder(crops, STYLE_TAPS), space="")
        channels = self.encoder.widths[: len(STYLE_TAPS)]
        means, stds = self._styles.get(numbers, lambda places: self._rows(crops[places])).chunk(2, dim=1)
        mean, std = (dict(zip(STYLE_TAPS, x.split(channels, dim=1), strict=True)) for x in (means, stds))
        return StyleStats(mean, std, space="")

    def _rows(self, crops: Tensor) -> Tensor:
        """The means at all taps and then the deviations of each crop: [B, channels, 1, 1]."""
        stats = StyleStats.measure(self.encoder(crops, STYLE_TAPS), space="")
        return torch.cat([part[tap] for part in (stats.mean, stats.std) for tap in STYLE_TAPS], dim=1)

    def features(self, pictures: Tensor) -> dict[str, Tensor]:
        """All taps of results [B, 3, H, W], differentiable."""
        return self.encoder(pictures, STYLE_TAPS)

    def color_losses(self, pictures: Tensor, target: Tensor) -> dict[str, Tensor]:
        """How far results [B, 3, H, W] are from what the teacher makes of their target, relu4_1 after AdaIN
        [B, C, H / 8, W / 8].

        Returns:
            Mean squared differences: ``color`` of the means over 4 x 4 pixels, ``chroma`` of each pixel's distance from
            the mean of its three channels, ``imitation`` of the pixels and four times that of what a 3 x 3 mean leaves.
            Empty without a teacher.
        """
        if not self.color_teacher:
            return {}
        with torch.no_grad():
            wanted = self.color_teacher(target).float().clamp(0, 1)
        difference = pictures.float() - wanted
        fine = difference - F.avg_pool2d(difference, 3, stride=1, padding=1, count_include_pad=False)
        parts = {
            "color": F.avg_pool2d(difference, 4),
            "chroma": difference - difference.mean(dim=1, keepdim=True),
            "imitation": torch.cat([difference, 2 * fine], dim=1) * 2**0.5,
        }
        return {name: part.square().mean() for name, part in parts.items()}
