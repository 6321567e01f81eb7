"""The whole chain in one node."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.color import match_color
from ..adain_core.detail import restore_detail, shrink
from ..adain_core.low_memory import stylize_by_thumbnail
from ..adain_core.stats import StyleStats
from ..adain_core.transfer import DETAILS
from .color import preserve_color
from .images import from_image, from_image_at, from_mask, to_image
from .inputs import (
    EACH,
    OFF,
    alpha_input,
    batch_input,
    check_choices,
    keep_colors_input,
    size_input,
    style_scale_input,
    style_size_input,
    tile_input,
    tile_size,
    transform_input,
    work_size_input,
)
from .progress import progress_bar, section
from .regions import masked_styles, regions_input
from .steps import blend, compute_style_stats, decode, encode
from .types import AdaINModel, Model, Region


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
                transform_input(),
                keep_colors_input(),
                size_input(),
                work_size_input(),
                style_scale_input(),
                batch_input(),
                tile_input(),
                io.Mask.Input("mask", optional=True, tooltip="Stylise where the mask is white; the rest stays."),
                io.Mask.Input(
                    "style_mask",
                    optional=True,
                    tooltip="Measure the style only where this mask is white. Soft edges count in part.",
                ),
                io.Boolean.Input(
                    "low_memory",
                    optional=True,
                    default=False,
                    tooltip="For pictures so large that even tiles do not fit: the content is measured on a thumbnail,"
                    " so memory grows with the tile alone. The result is approximate; for adain and instance-norm.",
                ),
                style_size_input(),
                regions_input(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The stylised picture.")],
        )

    @classmethod
    def validate_inputs(
        cls,
        transform: str | None = None,
        keep_colors: str | None = None,
        batch: str | None = None,
        tile: str | None = None,
    ) -> bool | str:
        return check_choices(cls, transform=transform, keep_colors=keep_colors, batch=batch, tile=tile)

    @classmethod
    def execute(
        cls,
        model: Model,
        content: Tensor,
        style: Tensor,
        alpha: float,
        transform: str,
        keep_colors: str,
        size: int,
        work_size: int,
        style_scale: float,
        batch: str,
        tile: str,
        mask: Tensor | None = None,
        style_mask: Tensor | None = None,
        low_memory: bool = False,
        style_size: int = 0,
        regions: Sequence[Region] | None = None,
    ) -> io.NodeOutput:
        if regions and keep_colors not in (OFF, "luminance"):
            raise ValueError(
                f"'keep_colors' is {keep_colors}, which recolours style pictures before they are measured, but"
                " 'regions' holds measured styles; use luminance."
            )
        progress = progress_bar()
        tiles = tile_size(tile)
        rgb, transparency = from_image_at(content, "content", size)
        work = shrink(rgb, work_size or None)
        measured = []
        pictures = _recolored(style, work, keep_colors, batch)
        style_mask = from_mask(style_mask, "style_mask", "style", len(style))
        for i, picture in enumerate(pictures):
            part = section(progress, 0.3 * i / len(pictures), 0.3 * (i + 1) / len(pictures))
            detail = DETAILS.get(transform, ())
            measured.append(
                compute_style_stats(
                    model, picture, "style", part, batch, style_scale, detail, style_mask, tiles, style_size
                )
            )
        stats = StyleStats.stack(measured)
        count = stats.count if len(work) == 1 else len(work)
        layers = [
            (from_mask(mask, "mask", "content", count), stats),
            *masked_styles(regions or (), model, "content", count),
        ]
        if low_memory:
            contents, rest = work.expand(count, -1, -1, -1), section(progress, 0.3, 1.0)
            result = stylize_by_thumbnail(model.load(), contents, layers, alpha, transform, tiles, rest)
        else:
            features = encode(model, to_image(work), "content", section(progress, 0.3, 0.6), tiles)
            for where, look in layers:
                features = blend(features, look, alpha, transform, where)
            image = decode(model, features, section(progress, 0.6, 1.0), tiles)
            result, _ = from_image(image, "content")
        result = restore_detail(result, work, rgb)
        if keep_colors == "luminance":
            return io.NodeOutput(preserve_color(to_image(rgb), to_image(result, transparency), keep_colors))
        return io.NodeOutput(to_image(result, transparency))


def _recolored(style: Tensor, content: Tensor, keep_colors: str, batch: str) -> list[Tensor]:
    """The style as it is, or once for each content in its colours; with ``each`` it is one batch all the same."""
    if keep_colors in (OFF, "luminance"):
        return [style]
    pictures, _ = from_image(style, "style")
    references = [content] if batch == EACH else content.split(1)
    return [to_image(match_color(pictures, reference, keep_colors)) for reference in references]
