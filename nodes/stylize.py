"""The whole chain in one node."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.color import COLOR_METHODS
from ..adain_core.images import scale_short_side
from .color import preserve_color
from .images import from_image, to_image
from .inputs import OFF, alpha_input, batch_input, style_scale_input
from .progress import progress_bar, section
from .steps import blend, compute_style_stats, decode, encode
from .types import AdaINModel, Model


class AdaINStylize(io.ComfyNode):
    """Content and style to a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AdaINStylize",
            display_name="AdaIN Stylize",
            category="AdaIN",
            description="A picture in the style of another, in one step.",
            inputs=[
                AdaINModel.Input("model", tooltip="From Load AdaIN Model."),
                io.Image.Input("content", tooltip="What the result shows: one picture or a batch."),
                io.Image.Input("style", tooltip="How the result looks: one picture or a batch. Its size is free."),
                alpha_input(),
                io.Int.Input(
                    "size",
                    default=0,
                    min=0,
                    max=16384,
                    step=8,
                    tooltip="Short side of the result in pixels; 0 keeps the content's size. Smaller gives larger"
                    " strokes.",
                ),
                style_scale_input(),
                batch_input(),
                io.Combo.Input(
                    "keep_colors",
                    options=[OFF, *COLOR_METHODS],
                    default=OFF,
                    tooltip="Keep the content's colours, by the methods of Preserve Color; off gives the style's.",
                ),
                io.Mask.Input("mask", optional=True, tooltip="Stylise where the mask is white; the rest stays."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The stylised picture.")],
        )

    @classmethod
    def execute(
        cls,
        model: Model,
        content: Tensor,
        style: Tensor,
        alpha: float,
        size: int,
        style_scale: float,
        batch: str,
        keep_colors: str,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        progress = progress_bar()
        if size:
            rgb, transparency = from_image(content, "content")
            scaled = None if transparency is None else scale_short_side(transparency, size)
            content = to_image(scale_short_side(rgb, size), scaled)
        stats = compute_style_stats(model, style, "style", batch, style_scale)
        features = encode(model, content, "content", section(progress, 0.0, 0.4))
        image = decode(model, blend(features, stats, alpha, mask=mask), section(progress, 0.4, 1.0))
        return io.NodeOutput(image if keep_colors == OFF else preserve_color(content, image, keep_colors))
