"""Different styles in different places of a picture or a film."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.styles.stats import StyleStats
from .images import from_mask
from .schema import node_schema
from .types import AdaINRegions, AdaINStyle, Model, Region, check_space


def regions_input() -> io.Input:
    """What AdaIN Region gives: styles of their own where masks are white."""
    return AdaINRegions.Input(
        "regions",
        optional=True,
        tooltip="Other styles where masks are white, from AdaIN Region; each lies on top of those before.",
    )


def masked_styles(regions: Sequence[Region], model: Model, other: str, count: int) -> list[tuple[Tensor, StyleStats]]:
    """What is connected to :func:`regions_input`, for ``count`` pictures of the input ``other``.

    Raises:
        ValueError: a mask is empty or fits neither one nor all of the pictures, or a style comes from another model.
    """
    layers = []
    for mask, style in regions:
        check_space(style, "regions", model)
        where = from_mask(mask, "regions", other, count)
        if where is None:
            raise ValueError("A mask in 'regions' is empty; connect one that is white where its style belongs.")
        layers.append((where, style))
    return layers


class AdaINRegion(io.ComfyNode):
    """A style where a mask is white."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINRegion",
            "AdaIN Region",
            aliases=["masked style", "style mask", "regional style", "several styles"],
            description="Puts another style where a mask is white, for AdaIN Stylize, AdaIN Stylize Video and"
            " AdaIN Stylize Frames. Several in a row make several regions.",
            inputs=[
                io.Mask.Input("mask", tooltip="Where: one mask for all pictures, or one for each."),
                AdaINStyle.Input("style", tooltip="From Compute Style Stats, Mix Styles or Load Style."),
                AdaINRegions.Input("regions", optional=True, tooltip="From another AdaIN Region, which lies below."),
            ],
            outputs=[
                AdaINRegions.Output(
                    display_name="regions",
                    tooltip="For AdaIN Stylize, Stylize Video, Stylize Frames or another AdaIN Region.",
                )
            ],
        )

    @classmethod
    def execute(cls, mask: Tensor, style: StyleStats, regions: Sequence[Region] | None = None) -> io.NodeOutput:
        return io.NodeOutput((*(regions or ()), (mask, style)))
