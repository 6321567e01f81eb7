"""Frames of a film."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.films.smoothing import Mask, StyleOverTime, StyleTimeline, stylize_film
from ..adain_core.options import FilmOptions, Options
from ..adain_core.pipeline.layers import Look, style_of
from ..adain_core.styles.stats import StyleStats
from .batches import join
from .images import from_image, from_mask, to_image, transparency_at
from .inputs import alpha_input, check_choices, from_inputs, option_input, tile_input
from .models import MODEL_TOOLTIP, default_model
from .progress import heed_stop, progress_bar
from .regions import masked_styles, regions_input
from .schema import node_schema
from .types import AdaINModel, Model, Region, check_space, style_input

_TOGETHER = 4


class AdaINStylizeVideo(io.ComfyNode):
    """A film in a style, without flicker."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINStylizeVideo",
            "AdaIN Stylize Video (Style Transfer)",
            aliases=["video style transfer", "stylize video", "flicker", "temporal smoothing", "film"],
            advanced=("cut", "low_memory", "transform", "work_size", "tile"),
            description="Stylizes a batch of frames. The statistics of the frames are smoothed over time, so that the"
            " result does not flicker, and start anew at cuts.",
            inputs=[
                AdaINModel.Input("model", optional=True, tooltip=MODEL_TOOLTIP),
                io.Image.Input("frames", tooltip="The frames in the order of time."),
                style_input(
                    "style",
                    "How the result looks: a picture of any size, or a style from Compute Style Stats, Mix Styles or"
                    " Load Style.",
                ),
                alpha_input(),
                option_input(FilmOptions, "smoothing"),
                option_input(FilmOptions, "cut"),
                option_input(Options, "keep_colors"),
                style_input("style_end", "A second style; the first one turns into it over the film.", optional=True),
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
    def execute(
        cls,
        frames: Tensor,
        style: Tensor | StyleStats,
        alpha: float,
        smoothing: float,
        cut: float,
        keep_colors: str,
        model: Model | None = None,
        style_end: Tensor | StyleStats | None = None,
        mask: Tensor | None = None,
        low_memory: bool = Options.low_memory,
        transform: str = Options.transform,
        size: int = 0,
        work_size: int = 0,
        tile: str = Options.tile,
        regions: Sequence[Region] | None = None,
    ) -> io.NodeOutput:
        check_choices(cls, keep_colors=keep_colors, transform=transform, tile=tile)
        model = model or default_model()
        rgb, transparency = from_image(frames, "frames")
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
        ends = {"style": style, "style_end": style_end}
        styles = {name: _measured(end, name, model, options) for name, end in ends.items() if end is not None}
        layers = masked_styles(regions or (), model, "frames", len(rgb))
        for name, stats in (*styles.items(), *(("regions", look) for _, look in layers)):
            check_space(stats, name, model)
            if stats.count != 1:
                raise ValueError(f"'{name}' is a batch of {stats.count} styles; connect one, such as from Mix Styles.")
        mask = from_mask(mask, "mask", "frames", len(rgb))
        over_time: StyleOverTime = styles["style"]
        if len(styles) > 1:
            over_time = StyleTimeline([0, max(1, len(rgb) - 1)], list(styles.values())).at
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


def _measured(style: Tensor | StyleStats, name: str, model: Model, options: Options) -> StyleStats:
    """What is connected to the style input ``name``, measured if it is a picture."""
    if isinstance(style, StyleStats):
        return style
    return style_of(model.load_analyzer(), Look([from_image(style, name)[0]]), options, progress=heed_stop)


def _over_time(mask: Tensor | None) -> Mask | None:
    """One mask for all frames, or that of a frame by its number."""
    return mask if mask is None or len(mask) == 1 else mask.__getitem__
