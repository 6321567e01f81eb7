"""Keeping the content's colors."""

from __future__ import annotations

from functools import partial

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.images import color
from ..adain_core.images.batches import one_by_one
from ..adain_core.options import ColorOptions
from ..adain_core.runtime.progress import Progress
from .images import from_image, to_image
from .inputs import check_choices, option_input
from .progress import NodeProgress
from .schema import node_schema


def preserve_color(stylized: Tensor, content: Tensor, method: str, progress: Progress) -> Tensor:
    """The IMAGE ``stylized`` with the colors of the IMAGE ``content``.

    Raises:
        ValueError: the two do not fit together.
    """
    colors, _ = from_image(content, "content")
    picture, opacity = from_image(stylized, "stylized")
    if len(colors) not in (1, len(picture)):
        raise ValueError(
            f"'content' is a batch of {len(colors)}, but 'stylized' of {len(picture)}; connect one content or one for"
            " each stylized picture."
        )
    if method == "luminance" and colors.shape[-2:] != picture.shape[-2:]:
        raise ValueError(
            f"'content' is {_size(colors)}, but 'stylized' {_size(picture)}; scale one of them with Upscale Image, or"
            " choose covariance or histogram, which take any sizes."
        )
    return to_image(one_by_one(partial(color.preserve_color, method=method), picture, progress, colors), opacity)


def _size(picture: Tensor) -> str:
    return f"{picture.shape[-1]} x {picture.shape[-2]}"


class AdaINPreserveColor(io.ComfyNode):
    """A picture in the colors of another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINPreserveColor",
            "AdaIN Preserve Color",
            aliases=["keep colors", "color transfer", "match colors", "original colors", "preserve colour"],
            description="Gives a stylized picture its content's colors back. With a style picture in its place, it"
            " gives the style the content's colors before the transfer (covariance or histogram).",
            inputs=[
                io.Image.Input("content", tooltip="The picture whose colors to keep."),
                io.Image.Input("stylized", tooltip="The picture to recolor: a result, or a style picture."),
                option_input(ColorOptions, "method"),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The recolored picture.")],
        )

    @classmethod
    def execute(cls, content: Tensor, stylized: Tensor, method: str) -> io.NodeOutput:
        check_choices(cls, method=method)
        return io.NodeOutput(preserve_color(stylized, content, method, NodeProgress()))
