"""The whole chain in one node."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.options import Options, StyleOptions
from ..adain_core.pipeline.layers import Look, layers_of
from ..adain_core.pipeline.runner import run
from ..adain_core.runtime.progress import section
from ..adain_core.styles.stats import StyleStats
from .images import check_room, from_image, from_mask, opacity_at, to_image
from .inputs import EACH, OFF, alpha_input, check_choices, from_inputs, option_input, tile_input
from .models import MODEL_TOOLTIP, default_model
from .progress import NodeProgress
from .regions import masked_styles, regions_input
from .schema import node_schema
from .steps import check_counts
from .types import AdaINModel, Model, Region, check_space, style_input


class AdaINStylize(io.ComfyNode):
    """Content and style to a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINStylize",
            "AdaIN Stylize (Style Transfer)",
            aliases=[
                "style transfer",
                "neural style",
                "artistic",
                "art",
                "painting",
                "stylize",
                "stylise",
                "van gogh",
                "filter",
            ],
            advanced=("transform", "work_size", "batch", "tile", "low_memory", "style_size"),
            description="A picture in the style of another, in one step.",
            inputs=[
                AdaINModel.Input("model", optional=True, tooltip=MODEL_TOOLTIP),
                io.Image.Input("content", tooltip="What the result shows: one picture or a batch."),
                style_input(
                    "style",
                    "How the result looks: a picture of any size, a batch of them, or a style from Compute Style Stats,"
                    " Mix Styles or Load Style.",
                ),
                alpha_input(),
                option_input(Options, "transform"),
                option_input(Options, "keep_colors"),
                option_input(Options, "size"),
                option_input(Options, "work_size"),
                option_input(Options, "style_scale"),
                option_input(StyleOptions, "batch"),
                tile_input(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Stylize where the mask is white; the rest is the content as the decoder renders it.",
                ),
                io.Mask.Input(
                    "style_mask",
                    optional=True,
                    tooltip="Measure the style only where this mask is white. Soft edges count in part.",
                ),
                option_input(Options, "low_memory", optional=True),
                option_input(Options, "style_size", optional=True),
                regions_input(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The stylized picture.")],
        )

    @classmethod
    def execute(
        cls,
        content: Tensor,
        style: Tensor | StyleStats,
        alpha: float,
        transform: str,
        keep_colors: str,
        size: int,
        work_size: int,
        style_scale: float,
        batch: str,
        tile: str,
        model: Model | None = None,
        mask: Tensor | None = None,
        style_mask: Tensor | None = None,
        low_memory: bool = Options.low_memory,
        style_size: int = 0,
        regions: Sequence[Region] | None = None,
    ) -> io.NodeOutput:
        check_choices(cls, transform=transform, keep_colors=keep_colors, batch=batch, tile=tile)
        measured = isinstance(style, StyleStats)
        if (regions or measured) and keep_colors not in (OFF, "luminance"):
            raise ValueError(
                f"Set 'keep_colors' to luminance: {keep_colors} recolors style pictures before they are measured, but"
                f" '{'style' if measured else 'regions'}' is measured already."
            )
        progress = NodeProgress()
        model = model or default_model()
        pictures, opacity = from_image(content, "content")
        if isinstance(style, StyleStats):
            check_space(style, "style", model)
            if style_mask is not None or style_scale != 1 or style_size:
                raise ValueError(
                    "Set 'style_mask', 'style_scale' and 'style_size' where 'style' is measured, or connect a picture."
                )
            styles, count = style, style.count
        else:
            styles, _ = from_image(style, "style")
            count = len(styles) if batch == EACH else 1
        check_counts(len(pictures), count)
        count = max(len(pictures), count)
        options = from_inputs(
            Options,
            alpha=alpha,
            transform=transform,
            keep_colors=keep_colors,
            size=size,
            work_size=work_size,
            style_size=style_size,
            style_scale=style_scale,
            tile=tile,
            low_memory=low_memory,
        )
        check_room(content, size)
        looks = [Look([styles], mask=from_mask(mask, "mask", "content", count), each=batch == EACH)]
        looks += [Look([look], mask=where) for where, look in masked_styles(regions or (), model, "content", count)]
        where = None if measured else from_mask(style_mask, "style_mask", "style", len(styles))
        stylizer = model.load()
        layers, left = layers_of(stylizer, looks, options, where, section(progress, 0.0, 0.3))
        rest = section(progress, 0.3, 1.0)
        (result,) = run(stylizer, [pictures], layers, left, progress=rest, preview=progress.preview)
        return io.NodeOutput(to_image(result, opacity_at(opacity, size)))
