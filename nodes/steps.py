"""The four steps of style transfer, one node each, and the mixing of styles."""

from __future__ import annotations

from dataclasses import replace

from comfy.model_management import intermediate_device
from comfy_api.latest import io
from torch import Tensor

from ..adain_core.images.batches import join
from ..adain_core.images.masks import checked_mask
from ..adain_core.options import DETAILS, Options, StyleOptions
from ..adain_core.pipeline.blend import Blend
from ..adain_core.pipeline.features import Features
from ..adain_core.runtime.progress import Preview, Progress, ignore_preview, ignore_progress
from ..adain_core.runtime.tables import options_of
from ..adain_core.styles.stats import StyleStats, mix, mix_by_transport
from ..adain_core.styles.transforms import TRANSFORMS
from .images import from_image, from_mask, to_image
from .inputs import EACH, alpha_input, check_choices, connected, input_for, option_input
from .progress import NodeProgress, in_turn
from .schema import node_schema
from .types import AdaINFeatures, AdaINModel, AdaINStyle, Content, Model

MOST_STYLES = 8


def encode(model: Model, image: Tensor, name: str, progress: Progress) -> Content:
    """Encode the IMAGE of the input ``name``."""
    rgb, opacity = from_image(image, name)
    stylizer = model.load()
    maps = [
        stylizer.encode(rgb[part], progress=report).content.to(intermediate_device())
        for part, report in in_turn(stylizer.chunks(rgb), progress)
    ]
    content = join(maps)
    return Content(Features(rgb, content, content, model.space), opacity, model)


def check_counts(contents: int, styles: int) -> None:
    """Make sure that contents and styles can be paired.

    Raises:
        ValueError: they cannot.
    """
    if 1 not in (contents, styles) and contents != styles:
        raise ValueError(
            f"There are {contents} contents but {styles} styles; connect one style, one for each content, or a single"
            " content."
        )


def blend(
    content: Content,
    style: StyleStats,
    alpha: float,
    transform: str = "adain",
    mask: Tensor | None = None,
    progress: Progress = ignore_progress,
) -> Content:
    """Lay a style over a content; N styles turn a single content into a batch.

    Raises:
        ValueError: content and style do not fit together.
    """
    if style.space != content.features.space:
        raise ValueError(
            "Use one model for 'style' and 'features', and styles that were saved with it: 'style' belongs to the space"
            f" {style.space}, 'features' to {content.features.space}."
        )
    count = len(content.features.image)
    check_counts(count, style.count)
    if style.count > count:
        content, count = content.repeat(style.count), style.count
    where = from_mask(mask, "mask", "features", count)
    layer = Blend(style, alpha, None if where is None else checked_mask(where, count), TRANSFORMS[transform])
    stylizer = content.model.load()
    parts = []
    for part, report in in_turn(stylizer.chunks(content.features.image, transform=layer.transform), progress):
        report(0.0)
        features = content.part(part).to(stylizer.device).features
        parts.append(stylizer.lay(features, layer.part(part)))
    progress(1.0)
    maps = [features.current.to(intermediate_device()) for features in parts]
    if layer.mask is not None:
        masks = [features.blends[-1].mask for features in (parts[:1] if len(layer.mask) == 1 else parts)]
        layer = replace(layer, mask=join(masks))
    layer = layer.to(intermediate_device())
    features = replace(content.features, current=join(maps), blends=(*content.features.blends, layer))
    return replace(content, features=features)


def decode(model: Model, content: Content, progress: Progress, preview: Preview = ignore_preview) -> Tensor:
    """An IMAGE from a content.

    Raises:
        ValueError: the content comes from another model's space.
    """
    if content.features.space != model.space:
        raise ValueError(
            "Use the model that encoded 'features', or another decoder for it: 'features' belongs to the space"
            f" {content.features.space}, 'model' to {model.space}."
        )
    stylizer = model.load()
    images = []
    for part, report in in_turn(stylizer.chunks(content.features.image), progress):
        piece = content.part(part).to(stylizer.device)
        pictures = stylizer.decode(piece.features, progress=report, preview=preview)
        images.append(to_image(pictures, piece.opacity))
    return join(images)


class AdaINEncode(io.ComfyNode):
    """IMAGE to features."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINEncode",
            "AdaIN Encode",
            aliases=["style transfer encoder", "content features", "vgg encode"],
            description="Turns pictures into the features that AdaIN Blend works on. Any size; transparency is kept.",
            inputs=[
                AdaINModel.Input("model", tooltip="From Load AdaIN Model."),
                io.Image.Input("image", tooltip="The content: one picture or a batch."),
            ],
            outputs=[AdaINFeatures.Output(display_name="features", tooltip="For AdaIN Blend or AdaIN Decode.")],
        )

    @classmethod
    def execute(cls, model: Model, image: Tensor) -> io.NodeOutput:
        return io.NodeOutput(encode(model, image, "image", NodeProgress()))


class AdaINComputeStyleStats(io.ComfyNode):
    """IMAGE to style."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINComputeStyleStats",
            "AdaIN Compute Style Stats",
            aliases=["measure style", "style from image", "style embedding", "style statistics"],
            description="Measures a style: the means and standard deviations of its features. The picture keeps its own"
            " size and shape.",
            inputs=[
                AdaINModel.Input(
                    "model",
                    tooltip="From Load AdaIN Model; with the same encoder as AdaIN Encode's, which may be alone here.",
                ),
                io.Image.Input("image", tooltip="The style picture, or a batch of them."),
                option_input(Options, "style_scale"),
                option_input(StyleOptions, "batch"),
                option_input(StyleOptions, "detail"),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Measure only where the mask is white. Soft edges count in part."
                ),
                option_input(Options, "style_size", optional=True),
            ],
            outputs=[AdaINStyle.Output(display_name="style", tooltip="For AdaIN Blend, Mix Styles and Save Style.")],
        )

    @classmethod
    def execute(
        cls,
        model: Model,
        image: Tensor,
        style_scale: float,
        batch: str,
        detail: str,
        mask: Tensor | None = None,
        style_size: int = 0,
    ) -> io.NodeOutput:
        check_choices(cls, batch=batch, detail=detail)
        pictures, _ = from_image(image, "image")
        style = model.load_analyzer().compute_style_stats(
            pictures,
            from_mask(mask, "mask", "image", len(pictures)),
            batch == EACH,
            style_size or None,
            style_scale,
            DETAILS[detail],
            progress=NodeProgress(),
        )
        return io.NodeOutput(style.to(intermediate_device()))


class AdaINMixStyles(io.ComfyNode):
    """Several styles to one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs: list[io.Input] = []
        weight = replace(options_of(StyleOptions)["weights"], default=1.0, unset="", many=False)
        for i in range(1, MOST_STYLES + 1):
            inputs += [
                AdaINStyle.Input(f"style_{i}", optional=i > 2, tooltip="A style from the same model as the others."),
                input_for(f"weight_{i}", weight, optional=i > 2),
            ]
        return node_schema(
            "AdaINMixStyles",
            "AdaIN Mix Styles",
            aliases=["blend styles", "combine styles", "interpolate styles", "style mixing", "average styles"],
            description="Blends two to eight styles into one, by weights relative to one another.",
            inputs=[
                *inputs[:4],
                option_input(StyleOptions, "method"),
                *inputs[4:],
            ],
            outputs=[AdaINStyle.Output(display_name="style", tooltip="The mixture; it has no picture of its own.")],
        )

    @classmethod
    def execute(cls, method: str, **inputs: StyleStats | float) -> io.NodeOutput:
        check_choices(cls, method=method)
        styles = connected(inputs, "style", MOST_STYLES)
        first = next(iter(styles))
        for i, style in styles.items():
            if style.space != styles[first].space:
                raise ValueError(
                    f"Measure all styles with the same model: 'style_{i}' belongs to the space {style.space},"
                    f" 'style_{first}' to {styles[first].space}."
                )
        parts, weights = list(styles.values()), [inputs.get(f"weight_{i}", 1.0) for i in styles]
        if method == "linear":
            return io.NodeOutput(mix(parts, weights))
        progress = NodeProgress()
        mixed = mix_by_transport(parts, weights, progress)
        progress(1.0)
        return io.NodeOutput(mixed)


class AdaINBlend(io.ComfyNode):
    """Features and style to features."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINBlend",
            "AdaIN Blend",
            aliases=["apply style", "style strength", "adaptive instance normalization", "whitening coloring", "wct"],
            description="Gives the content the statistics of a style. Several blends with masks in a row put different"
            " styles in different places.",
            inputs=[
                AdaINFeatures.Input("features", tooltip="From AdaIN Encode, or from an earlier AdaIN Blend."),
                AdaINStyle.Input("style", tooltip="From Compute Style Stats, Mix Styles or Load Style."),
                alpha_input(),
                option_input(Options, "transform"),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Stylize where the mask is white; the rest keeps its features, as the decoder renders"
                    " them.",
                ),
            ],
            outputs=[AdaINFeatures.Output(display_name="features", tooltip="For AdaIN Decode or another AdaIN Blend.")],
        )

    @classmethod
    def execute(
        cls, features: Content, style: StyleStats, alpha: float, transform: str, mask: Tensor | None = None
    ) -> io.NodeOutput:
        check_choices(cls, transform=transform)
        return io.NodeOutput(blend(features, style, alpha, transform, mask, NodeProgress()))


class AdaINDecode(io.ComfyNode):
    """Features to IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINDecode",
            "AdaIN Decode",
            aliases=["style transfer decoder", "features to image"],
            description="Turns features back into a picture of the content's size.",
            inputs=[
                AdaINModel.Input("model", tooltip="The model that encoded the features, or one with another decoder."),
                AdaINFeatures.Input("features", tooltip="From AdaIN Blend, or straight from AdaIN Encode."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The stylized picture.")],
        )

    @classmethod
    def execute(cls, model: Model, features: Content) -> io.NodeOutput:
        progress = NodeProgress()
        return io.NodeOutput(decode(model, features, progress, progress.preview))
