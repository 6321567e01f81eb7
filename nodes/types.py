"""What travels along the wires: the types of this pack and what their values are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from comfy.model_management import load_models_gpu
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io
from torch import Tensor, nn

from ..adain_core.networks.encoder import Encoder
from ..adain_core.pipeline.analyzer import StyleAnalyzer
from ..adain_core.pipeline.features import Features
from ..adain_core.pipeline.transfer import StyleTransfer
from ..adain_core.styles.stats import StyleStats

AdaINModel = io.Custom("ADAIN_MODEL")
AdaINFeatures = io.Custom("ADAIN_FEATURES")
AdaINStyle = io.Custom("ADAIN_STYLE")
AdaINRegions = io.Custom("ADAIN_REGIONS")


def style_input(name: str, tooltip: str, optional: bool = False) -> io.Input:
    """An input for a style, as a picture or measured."""
    return io.MultiType.Input(name, [io.Image, AdaINStyle], optional=optional, tooltip=tooltip)


Region = tuple[Tensor, StyleStats]
"""A MASK and the style for where it is white; an ADAIN_REGIONS is a tuple of them."""


class Held(nn.Module):
    """What ComfyUI moves between devices. It writes attributes of its own onto the module, such as ``device``."""

    def __init__(self, networks: StyleAnalyzer) -> None:
        super().__init__()
        self.networks = networks


@dataclass(frozen=True, eq=False)
class Model:
    """The value of an ADAIN_MODEL.

    Args:
        name: what the user chose in the loader.
        space: of its features.
        patcher: ComfyUI's handle on what is :class:`Held`.
    """

    name: str
    space: str
    patcher: ModelPatcher

    @property
    def networks(self) -> StyleAnalyzer:
        """A StyleTransfer, or a StyleAnalyzer for an encoder alone, wherever it is."""
        return self.patcher.model.networks

    def load(self) -> StyleTransfer:
        """The pipeline, on the device where ComfyUI wants it, after other models have made room.

        Raises:
            ValueError: there is no decoder.
        """
        model = self.networks
        if not isinstance(model, StyleTransfer):
            raise ValueError(
                f"'model' is {self.name}, an encoder alone; choose a 'decoder' for its space {self.space} in Load AdaIN"
                " Model. Without one it serves AdaIN Compute Style Stats, AdaIN Gatys, AdaIN Texture Synthesis and"
                " AdaIN Measure Stylization."
            )
        self.load_encoder()
        return model

    def load_analyzer(self) -> StyleAnalyzer:
        """What measures styles, which needs no decoder, on the device where ComfyUI wants it."""
        self.load_encoder()
        return self.networks

    def load_encoder(self, memory: int = 0) -> Encoder:
        """The encoder alone, which needs no decoder, on the device where ComfyUI wants it, after other models have made
        room for it and for so many bytes of work."""
        load_models_gpu([self.patcher], memory_required=memory, force_full_load=True)
        return self.networks.encoder


def check_space(style: StyleStats, name: str, model: Model) -> None:
    """Refuse a style of the input ``name`` that was measured in another space than the model's.

    Raises:
        ValueError: with what would fit.
    """
    if style.space != model.space:
        raise ValueError(
            f"Use one model for '{name}' and 'model', and styles that were saved with it: '{name}' belongs to the space"
            f" {style.space}, 'model' to {model.space}."
        )


@dataclass(frozen=True)
class Content:
    """The value of an ADAIN_FEATURES.

    Args:
        features: what the pipeline knows of the content.
        opacity: of the content, where it has an alpha channel, [B, 1, H, W], to be put back at the end.
        model: the one that encoded it.
    """

    features: Features
    opacity: Tensor | None
    model: Model

    def part(self, pictures: slice) -> Content:
        """Some pictures of the batch."""
        opacity = None if self.opacity is None else self.opacity[pictures]
        return replace(self, features=self.features.part(pictures), opacity=opacity)

    def to(self, device: torch.device) -> Content:
        """The same content with its feature maps, and what was blended into them, on another device."""
        content = self.features.content.to(device)
        untouched = self.features.current is self.features.content
        current = content if untouched else self.features.current.to(device)
        blends = tuple(blend.to(device) for blend in self.features.blends)
        return replace(self, features=replace(self.features, content=content, current=current, blends=blends))

    def repeat(self, count: int) -> Content:
        """A single content as a batch of ``count``, without copying it."""
        opacity = None if self.opacity is None else self.opacity.expand(count, -1, -1, -1)
        return replace(self, features=self.features.repeat(count), opacity=opacity)
