"""Style transfer and texture synthesis by optimization, the baseline that AdaIN is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comfy_api.latest import io
from torch import Tensor

from ..adain_core import gatys
from ..adain_core.networks.encoder import Encoder
from ..adain_core.options import GatysOptions, Optimization, TextureOptions
from ..adain_core.runtime.progress import Progress, section
from .images import from_image, from_image_at, to_image
from .inputs import check_choices, from_inputs, option_input
from .loss_chart import loss_chart
from .progress import NodeProgress
from .schema import node_schema
from .types import AdaINModel, Model


def _shared_inputs() -> list[io.Input]:
    return [
        option_input(GatysOptions, "preset"),
        option_input(Optimization, "iterations"),
        option_input(Optimization, "optimizer"),
        option_input(Optimization, "seed", control_after_generate=True),
    ]


def _outputs() -> list[io.Output]:
    return [
        io.Image.Output(display_name="image", tooltip="The picture with the lowest loss."),
        io.Image.Output(display_name="loss_curve", tooltip="The loss and its parts over the iterations."),
    ]


def _styles(style: Tensor, short_side: int = 0) -> list[gatys.Style]:
    return [gatys.Style(picture) for picture in from_image_at(style, "style", short_side)[0].split(1)]


def _starts(start: Tensor, count: int) -> Sequence[Tensor]:
    """A picture to start from for each of ``count`` contents.

    Raises:
        ValueError: the number of pictures fits neither one nor all of the contents.
    """
    pictures = from_image(start, "start")[0]
    if len(pictures) not in (1, count):
        raise ValueError(
            f"'start' is a batch of {len(pictures)}, but 'content' of {count}; connect one picture or one for each"
            " content."
        )
    return pictures.expand(count, -1, -1, -1).split(1)


def _load_encoder(
    model: Model, size: tuple[int, int], settings: gatys.Settings, styles: Sequence[gatys.Style]
) -> Encoder:
    """The model's encoder, after other models have made room for the optimization of a picture of (H, W)."""
    return model.load_encoder(gatys.estimate_memory(model.networks.encoder, size, settings, styles))


def _watch(progress: NodeProgress, share: Progress) -> gatys.OnStep:
    """Moves ``share`` of the progress with an optimization, and shows the picture as it grows."""

    def see(step: gatys.Step) -> None:
        share(step.share)
        progress.preview(step.picture)

    return see


def _chart(result: gatys.Result) -> Tensor:
    parts = ("total", "content", "style")
    curves = {part: [getattr(losses, part) for losses in result.losses] for part in parts}
    return to_image(loss_chart({name: values for name, values in curves.items() if any(values)}))


class AdaINGatys(io.ComfyNode):
    """The optimization of Gatys, Ecker and Bethge (2016)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINGatys",
            "AdaIN Gatys (Neural Style Transfer)",
            advanced=("init", "preset", "optimizer", "style_size"),
            aliases=["gatys", "neural style transfer", "optimization", "gram matrix", "slow style transfer"],
            description="The slow original: optimizes the picture itself until it has the content of one and the style"
            " of another. With a live preview, and a chart of the loss.",
            inputs=[
                AdaINModel.Input("model", tooltip="From Load AdaIN Model; only its encoder is used."),
                io.Image.Input("content", tooltip="What the result shows: one picture or a batch, done one by one."),
                io.Image.Input("style", tooltip="How the result looks; several pictures count the same."),
                option_input(GatysOptions, "size"),
                option_input(GatysOptions, "style_weight"),
                option_input(GatysOptions, "init", "A picture at 'start' takes precedence."),
                *_shared_inputs(),
                io.Image.Input(
                    "start",
                    optional=True,
                    tooltip="A picture to start from, such as AdaIN's result: one for all contents, or one for each.",
                ),
                option_input(GatysOptions, "style_size", optional=True),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        model: Model,
        content: Tensor,
        style: Tensor,
        size: int,
        style_weight: float,
        init: str,
        preset: str,
        iterations: int,
        optimizer: str,
        seed: int,
        start: Tensor | None = None,
        style_size: int = 0,
    ) -> io.NodeOutput:
        check_choices(cls, init=init, preset=preset, optimizer=optimizer)
        options = from_inputs(
            GatysOptions, size=size, style_size=style_size, style_weight=style_weight, init=init, preset=preset
        )
        settings = gatys.settings_of(options, iterations=iterations, optimizer=optimizer, seed=seed)
        contents, opacity = from_image_at(content, "content", size)
        styles = _styles(style, style_size or size)
        starts = [init] * len(contents) if start is None else _starts(start, len(contents))
        encoder = _load_encoder(model, (contents.shape[-2], contents.shape[-1]), settings, styles)
        progress, results = NodeProgress(), []
        for i, first in enumerate(starts):
            share = section(progress, i / len(starts), (i + 1) / len(starts))
            watch = _watch(progress, share)
            results.append(gatys.stylize(encoder, contents[i : i + 1], styles, settings, first, watch))
            share(1.0)
        images = torch.cat([result.picture for result in results])
        return io.NodeOutput(to_image(images, opacity), torch.cat([_chart(result) for result in results]))


class AdaINTextureSynthesis(io.ComfyNode):
    """The textures of Gatys, Ecker and Bethge (2015)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINTextureSynthesis",
            "AdaIN Texture Synthesis",
            advanced=("preset", "optimizer"),
            aliases=["texture", "gram matrix", "pattern", "generate texture", "material"],
            description="Makes a new texture of any size from a picture: noise, optimized until its features have the"
            " picture's correlations.",
            inputs=[
                AdaINModel.Input("model", tooltip="From Load AdaIN Model; only its encoder is used."),
                io.Image.Input("style", tooltip="The texture to imitate; several pictures count the same."),
                option_input(TextureOptions, "width"),
                option_input(TextureOptions, "height"),
                *_shared_inputs(),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        model: Model,
        style: Tensor,
        width: int,
        height: int,
        preset: str,
        iterations: int,
        optimizer: str,
        seed: int,
    ) -> io.NodeOutput:
        check_choices(cls, preset=preset, optimizer=optimizer)
        styles = _styles(style)
        sides = from_inputs(TextureOptions, width=width, height=height)
        size = sides.height, sides.width
        options = GatysOptions(preset=preset)
        settings = gatys.settings_of(options, iterations=iterations, optimizer=optimizer, seed=seed)
        encoder = _load_encoder(model, size, settings, styles)
        progress = NodeProgress()
        result = gatys.synthesize_texture(encoder, styles, size, settings, _watch(progress, progress))
        progress(1.0)
        return io.NodeOutput(to_image(result.picture), _chart(result))
