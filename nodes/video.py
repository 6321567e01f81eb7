"""Films, whole or as batches of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from comfy_api.latest import Input, io
from torch import Tensor

from ..adain_core.films.smoothing import Mask, StyleOverTime, StyleTimeline, stylize_film
from ..adain_core.images.batches import join
from ..adain_core.options import FilmOptions, Options
from ..adain_core.pipeline.layers import Look, style_of
from ..adain_core.styles.stats import StyleStats
from .films import change_video, from_video, masks_over_time, over_time
from .images import check_room, from_image, from_mask, opacity_at, to_image
from .inputs import alpha_input, check_choices, from_inputs, option_input, tile_input
from .models import MODEL_TOOLTIP, default_model
from .progress import NodeProgress, heed_stop
from .regions import masked_styles, regions_input
from .schema import node_schema
from .types import AdaINModel, Model, Region, check_space, style_input

_TOGETHER = 4
_ADVANCED = ("cut", "low_memory", "transform", "work_size", "tile")
_SMOOTHED = (
    " The statistics of the frames are smoothed over time, so that the result does not flicker, and start anew at cuts."
)
_WHERE = "Stylize where the mask is white: one mask for all frames, or one for each."


def _inputs(source: io.Input, mask: io.Input) -> list[io.Input]:
    """Those of both nodes, which differ in what they stylize and in what masks may be."""
    return [
        AdaINModel.Input("model", optional=True, tooltip=MODEL_TOOLTIP),
        source,
        style_input(
            "style",
            "How the result looks: a picture of any size, or a style from Compute Style Stats, Mix Styles or Load"
            " Style.",
        ),
        alpha_input(),
        option_input(FilmOptions, "smoothing"),
        option_input(FilmOptions, "cut"),
        option_input(Options, "keep_colors"),
        style_input("style_end", "A second style; the first one turns into it over the film.", optional=True),
        mask,
        option_input(Options, "low_memory", optional=True),
        option_input(Options, "transform", optional=True),
        option_input(Options, "size", optional=True),
        option_input(Options, "work_size", optional=True),
        tile_input(optional=True),
        regions_input(),
    ]


@dataclass(frozen=True)
class _Settings:
    """The values of the inputs that both nodes have."""

    style: Tensor | StyleStats
    alpha: float
    smoothing: float
    cut: float
    keep_colors: str
    model: Model | None = None
    style_end: Tensor | StyleStats | None = None
    low_memory: bool = Options.low_memory
    transform: str = Options.transform
    size: int = 0
    work_size: int = 0
    tile: str = Options.tile
    regions: Sequence[Region] | None = None

    @classmethod
    def of(cls, node: type[io.ComfyNode], inputs: dict[str, Any]) -> _Settings:
        """Those that a node was given.

        Raises:
            ValueError: a combo has no such choice.
        """
        combos = ("keep_colors", "transform", "tile")
        check_choices(node, **{name: inputs[name] for name in combos if name in inputs})
        return cls(**inputs)

    def stylize(
        self, frames: Iterable[Tensor], mask: Mask | None, source: str, count: int, progress: NodeProgress
    ) -> Iterator[Tensor]:
        """The frames of a film [B, 3, H, W] in the style.

        Args:
            frames: in the order of time.
            mask: where to stylize.
            source: the input that they come from, for errors.
            count: how many frames there are.
            progress: told the share that is done, and shown frames.

        Raises:
            ValueError: the inputs do not fit together.
        """
        model = self.model or default_model()
        options = from_inputs(
            Options,
            alpha=self.alpha,
            transform=self.transform,
            keep_colors=self.keep_colors,
            size=self.size,
            work_size=self.work_size,
            tile=self.tile,
            low_memory=self.low_memory,
        )
        ends = {"style": self.style, "style_end": self.style_end}
        styles = {name: _measured(end, name, model, options) for name, end in ends.items() if end is not None}
        over = masked_styles(self.regions or (), model, source, count)
        for name, stats in (*styles.items(), *(("regions", look) for _, look in over)):
            check_space(stats, name, model)
            if stats.count != 1:
                raise ValueError(f"'{name}' is a batch of {stats.count} styles; connect one, such as from Mix Styles.")
        style: StyleOverTime = styles["style"]
        if len(styles) > 1:
            style = StyleTimeline([0, max(1, count - 1)], list(styles.values())).at
        layers = [(style, mask), *((look, over_time(where)) for where, look in over)]
        film = FilmOptions(self.smoothing, self.cut)
        return progress.previewed(stylize_film(model.load(), frames, layers, options, film, progress, count))


def _measured(style: Tensor | StyleStats, name: str, model: Model, options: Options) -> StyleStats:
    """What is connected to the style input ``name``, measured if it is a picture."""
    if isinstance(style, StyleStats):
        return style
    return style_of(model.load_analyzer(), Look([from_image(style, name)[0]]), options, progress=heed_stop)


class AdaINStylizeFilm(io.ComfyNode):
    """A film in a style, without flicker and in memory that does not grow with its length."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINStylizeFilm",
            "AdaIN Stylize Video (Style Transfer)",
            aliases=["video style transfer", "stylize video", "video to video", "film", "movie", "long video"],
            advanced=_ADVANCED,
            description="Stylizes a video of any length, frame by frame: memory does not grow, the sound is kept."
            + _SMOOTHED,
            inputs=_inputs(
                io.Video.Input("video", tooltip="From Load Video, Trim Video or Create Video."),
                io.MultiType.Input(
                    "mask", [io.Mask, io.Video], optional=True, tooltip=f"{_WHERE} A black and white video will do."
                ),
            ),
            outputs=[
                io.Video.Output(
                    display_name="video",
                    tooltip="The stylized video, as H.264 in ComfyUI's temporary folder until Save Video keeps it.",
                )
            ],
        )

    @classmethod
    def execute(cls, video: Input.Video, mask: Tensor | Input.Video | None = None, **inputs: Any) -> io.NodeOutput:
        settings, progress = _Settings.of(cls, inputs), NodeProgress()
        with from_video(video) as film:
            count = film.count()
            with masks_over_time(mask, count) as where:
                change = partial(settings.stylize, mask=where, source="video", count=count, progress=progress)
                result = change_video(film, change)
        progress(1.0)
        return io.NodeOutput(result)


class AdaINStylizeVideo(io.ComfyNode):
    """The frames of a film in a style, without flicker."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINStylizeVideo",
            "AdaIN Stylize Frames (Style Transfer)",
            aliases=["video style transfer", "stylize frames", "flicker", "temporal smoothing", "image sequence"],
            advanced=_ADVANCED,
            description=f"Stylizes a batch of frames.{_SMOOTHED}",
            inputs=_inputs(
                io.Image.Input("frames", tooltip="The frames in the order of time."),
                io.Mask.Input("mask", optional=True, tooltip=_WHERE),
            ),
            outputs=[io.Image.Output(display_name="frames", tooltip="The stylized frames.")],
        )

    @classmethod
    def execute(cls, frames: Tensor, mask: Tensor | None = None, **inputs: Any) -> io.NodeOutput:
        settings = _Settings.of(cls, inputs)
        rgb, opacity = from_image(frames, "frames")
        check_room(frames, settings.size)
        where = over_time(from_mask(mask, "mask", "frames", len(rgb)))
        stylized = settings.stylize(rgb.split(_TOGETHER), where, "frames", len(rgb), NodeProgress())
        images = [to_image(part) for part in stylized]
        picture = from_image(join(images), "frames")[0]
        return io.NodeOutput(to_image(picture, opacity_at(opacity, settings.size)))
