"""The whole chain in one node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.images.color import ColorMethod, match_color
from ..adain_core.images.detail import restore_detail, shrink
from ..adain_core.options import Options, StyleOptions
from ..adain_core.pipeline.blend import Blend
from ..adain_core.pipeline.thumbnails import stylize_by_thumbnail
from ..adain_core.pipeline.tiling import TileSize
from ..adain_core.pipeline.transfer import StyleTransfer
from ..adain_core.runtime.progress import Progress, section
from ..adain_core.styles.stats import StyleStats
from ..adain_core.styles.transforms import DETAILS
from .batches import in_turn, join, one_by_one, parts_to_blend
from .color import preserve_color
from .images import from_image, from_image_at, from_mask, to_image
from .inputs import EACH, OFF, alpha_input, check_choices, option_input, tile_input, tile_size
from .progress import progress_bar
from .regions import masked_styles, regions_input
from .schema import node_schema
from .steps import check_counts, compute_style_stats
from .types import AdaINModel, Model, Region


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
            description="A picture in the style of another, in one step.",
            inputs=[
                AdaINModel.Input("model", tooltip="From Load AdaIN Model."),
                io.Image.Input("content", tooltip="What the result shows: one picture or a batch."),
                io.Image.Input("style", tooltip="How the result looks: one picture or a batch. Its size is free."),
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
                f"'keep_colors' is {keep_colors}, which recolors style pictures before they are measured, but"
                " 'regions' holds measured styles; use luminance."
            )
        check_counts(len(content), len(style) if batch == EACH else 1)
        stylizer = model.load()
        progress = progress_bar()
        tiles = tile_size(tile)
        rgb, transparency = from_image_at(content, "content", size)
        shrinks = 0 < work_size < min(rgb.shape[-2:])
        work = one_by_one(partial(shrink, work_size=work_size), rgb) if shrinks else rgb
        measured = []
        recolors = keep_colors not in (OFF, "luminance")
        references = [None] if not recolors else [work] if batch == EACH else work.split(1)
        style_mask = from_mask(style_mask, "style_mask", "style", len(style))
        for i, reference in enumerate(references):
            picture = style if reference is None else _recolored(style, reference, keep_colors)
            part = section(progress, 0.3 * i / len(references), 0.3 * (i + 1) / len(references))
            detail = DETAILS.get(transform, ())
            stats = compute_style_stats(
                model, picture, "style", part, batch, style_scale, detail, style_mask, tiles, style_size
            )
            measured.append(stats if stylizer.skips.need_style_image else replace(stats, image=None))
        stats = StyleStats.stack(measured)
        looks = [stats, *(look for _, look in regions or ())]
        count = max(look.count for look in looks) if len(work) == 1 else len(work)
        for look in looks:
            look.check_count(count)
        layers = [
            (from_mask(mask, "mask", "content", count), stats),
            *masked_styles(regions or (), model, "content", count),
        ]
        rest = section(progress, 0.3, 0.9)
        if low_memory:
            contents = work.expand(count, -1, -1, -1)
            result = stylize_by_thumbnail(stylizer, contents, layers, alpha, transform, tiles, rest)
        else:
            result = _stylize(stylizer, work, count, layers, alpha, transform, tiles, rest)
        if shrinks:
            result = one_by_one(restore_detail, result, work, rgb, progress=section(progress, 0.9, 0.95))
        image = to_image(result, transparency)
        if keep_colors == "luminance":
            image = preserve_color(to_image(rgb), image, keep_colors, section(progress, 0.95, 1.0))
        progress(1.0)
        return io.NodeOutput(image)


def _recolored(style: Tensor, content: Tensor, method: ColorMethod) -> Tensor:
    """The IMAGE of styles in the colors of one content, or of one for each."""
    pictures, _ = from_image(style, "style")
    return to_image(one_by_one(partial(match_color, method=method), pictures, content))


def _stylize(
    model: StyleTransfer,
    content: Tensor,
    count: int,
    layers: Sequence[tuple[Tensor | None, StyleStats]],
    alpha: float,
    transform: str,
    tile: TileSize,
    progress: Progress,
) -> Tensor:
    """Encode, blend and decode as many pictures at a time as fit the memory; a single content ``count`` times."""
    blends = [Blend(style, alpha, mask, transform) for mask, style in layers]
    encode = partial(model.encode, tile=tile, keep_shallow=True)
    shared = encode(content, progress=lambda _: progress(0.0)) if len(content) < count else None
    results = []
    parts = parts_to_blend(model, content.expand(count, -1, -1, -1), transform, tile)
    for part, report in in_turn(parts, progress):
        if shared is None:
            features = encode(content[part], progress=section(report, 0.0, 0.5))
        else:
            features = shared.repeat(part.stop - part.start)
        for blend in (blend.part(part) for blend in blends):
            features = model.blend(features, blend.style, alpha, blend.mask, transform)
        results.append(model.decode(features, tile, section(report, 0.5, 1.0)))
        del features  # not to be kept while the next are encoded
    return join(results)
