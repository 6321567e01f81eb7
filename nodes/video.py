"""Frames of a film."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.films.smoothing import Mask, StyleOverTime, StyleTimeline, stylize_film
from ..adain_core.options import FilmOptions, Options
from ..adain_core.styles.stats import StyleStats
from .batches import join
from .images import from_image, from_mask, to_image, transparency_at
from .inputs import alpha_input, check_choices, from_inputs, option_input, tile_input
from .progress import progress_bar
from .regions import masked_styles, regions_input
from .schema import node_schema
from .types import AdaINModel, AdaINStyle, Model, Region, check_space

_TOGETHER = 4


class AdaINStylizeVideo(io.ComfyNode):
    """A film in a style, without flicker."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINStylizeVideo",
            "AdaIN Stylize Video (Style Transfer)",
            aliases=["video style transfer", "stylize video", "flicker", "temporal smoothing", "film"],
            description="Stylizes a batch of frames. The statistics of the frames are smoothed over time, so that the"
            " result does not flicker, and start anew at cuts.",
            inputs=[
                AdaINModel.Input("model", tooltip="From Load AdaIN Model."),
                io.Image.Input("frames", tooltip="The frames in the order of time."),
                AdaINStyle.Input("style", tooltip="From Compute Style Stats, Mix Styles or Load Style."),
                alpha_input(),
                option_input(FilmOptions, "smoothing"),
                option_input(FilmOptions, "cut"),
                option_input(Options, "keep_colors"),
                AdaINStyle.Input(
                    "style_end", optional=True, tooltip="A second style; the first one turns into it over the film."
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Stylize where the mask is white: one mask for all frames, or one for each.",
                ),
                option_input(Options, "low_memory", optional=True),
                option_input(Options, "transform", optional=True),
                option_input(Options, "size", optional=True),
                option_input(Options, "work_size", optional=True),
                tile_input(optional=True),
                regions_input(),
            ],
            outputs=[io.Image.Output(display_name="frames", tooltip="The stylized frames.")],
        )

    @classmethod
    def validate_inputs(
        cls, keep_colors: str | None = None, transform: str | None = None, tile: str | None = None
    ) -> bool | str:
        return check_choices(cls, keep_colors=keep_colors, transform=transform, tile=tile)

    @classmethod
    def execute(
        cls,
        model: Model,
        frames: Tensor,
        style: StyleStats,
        alpha: float,
        smoothing: float,
        cut: float,
        keep_colors: str,
        style_end: StyleStats | None = None,
        mask: Tensor | None = None,
        low_memory: bool = Options.low_memory,
        transform: str = Options.transform,
        size: int = 0,
        work_size: int = 0,
        tile: str = Options.tile,
        regions: Sequence[Region] | None = None,
    ) -> io.NodeOutput:
        rgb, transparency = from_image(frames, "frames")
        layers = masked_styles(regions or (), model, "frames", len(rgb))
        styles = [("style", style), ("style_end", style_end), *(("regions", look) for _, look in layers)]
        for name, stats in ((name, stats) for name, stats in styles if stats is not None):
            check_space(stats, name, model)
            if stats.count != 1:
                raise ValueError(f"'{name}' is a batch of {stats.count} styles; connect one, such as from Mix Styles.")
        mask = from_mask(mask, "mask", "frames", len(rgb))
        over_time: StyleOverTime = style
        if style_end is not None:
            over_time = StyleTimeline([0, max(1, len(rgb) - 1)], [style, style_end]).at
        options = from_inputs(
            Options,
            alpha=alpha,
            transform=transform,
            keep_colors=keep_colors,
            size=size,
            work_size=work_size,
            tile=tile,
            low_memory=low_memory,
        )
        over = [(look, _over_time(where)) for where, look in layers]
        film = FilmOptions(smoothing, cut)
        stylized = stylize_film(
            model.load(),
            rgb.split(_TOGETHER),
            [(over_time, _over_time(mask)), *over],
            options,
            film,
            progress_bar(),
            len(rgb),
        )
        images = [to_image(part) for part in stylized]
        return io.NodeOutput(to_image(from_image(join(images), "frames")[0], transparency_at(transparency, size)))


def _over_time(mask: Tensor | None) -> Mask | None:
    """One mask for all frames, or that of a frame by its number."""
    return mask if mask is None or len(mask) == 1 else mask.__getitem__
