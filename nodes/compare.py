"""Looking at many results side by side, and measuring one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from comfy_api.latest import io
from torch import Tensor

from ..adain_core.images.sheets import cell_of, check_sheet, contact_sheet
from ..adain_core.measure.losses import Measures, estimate_memory, measure_result
from ..adain_core.options import GridOptions
from ..adain_core.runtime.progress import Progress, ignore_progress, section
from .images import from_image, to_image
from .inputs import connected, from_inputs, option_input
from .progress import NodeProgress
from .schema import node_schema
from .steps import MOST_STYLES, blend, decode, encode
from .types import AdaINModel, Model

MOST_MODELS = 4


class AdaINStyleGrid(io.ComfyNode):
    """A contact sheet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        models = [
            AdaINModel.Input(f"model_{i}", optional=i > 1, tooltip="A model for rows of its own, to compare decoders.")
            for i in range(1, MOST_MODELS + 1)
        ]
        styles = [
            io.Image.Input(f"style_{i}", optional=i > 1, tooltip="A style for a row of its own.")
            for i in range(1, MOST_STYLES + 1)
        ]
        return node_schema(
            "AdaINStyleGrid",
            "AdaIN Style Grid",
            aliases=["contact sheet", "compare styles", "comparison", "xy plot", "overview"],
            description="A contact sheet with labels: every style, with every model, at several strengths.",
            inputs=[
                models[0],
                io.Image.Input("content", tooltip="The picture to stylize; of a batch, the first."),
                styles[0],
                option_input(GridOptions, "alphas"),
                option_input(GridOptions, "cell"),
                *models[1:],
                *styles[1:],
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The contact sheet.")],
        )

    @classmethod
    def execute(cls, content: Tensor, alphas: str, cell: int, **inputs: Model | Tensor) -> io.NodeOutput:
        strengths = from_inputs(GridOptions, alphas=alphas, cell=cell).alphas
        models, styles = connected(inputs, "model", MOST_MODELS), connected(inputs, "style", MOST_STYLES)
        check_sheet(len(models) * len(styles), 1 + len(strengths), cell)
        pictures = [cell_of(from_image(style, f"style_{i}")[0][:1], cell) for i, style in styles.items()]
        progress = NodeProgress()
        results = []
        for i, model in enumerate(models.values()):
            part = section(progress, i / len(models), (i + 1) / len(models))
            results.append(_results(model, content[:1], styles, strengths, cell, part))
        rows = [[picture, *made[i]] for i, picture in enumerate(pictures) for made in results]
        names = [model.name if len(models) > 1 else "" for model in models.values()]
        labels = [f"{number} {name}".rstrip() for number in styles for name in names]
        columns = ["style", *(f"alpha {alpha:g}" for alpha in strengths)]
        return io.NodeOutput(to_image(contact_sheet(rows, labels, columns, cell)))


def _results(
    model: Model, content: Tensor, styles: Mapping[int, Tensor], alphas: Sequence[float], cell: int, progress: Progress
) -> list[list[Tensor]]:
    """The content in each style at each strength, as small as the sheet shows it."""
    features = encode(model, content, "content", ignore_progress)
    count = len(styles) * len(alphas)
    rows = []
    for i, (number, style) in enumerate(styles.items()):
        stats = model.load_analyzer().compute_style_stats(from_image(style, f"style_{number}")[0])
        row = []
        for j, alpha in enumerate(alphas, start=i * len(alphas)):
            part = section(progress, j / count, (j + 1) / count)
            result = decode(model, blend(features, stats, alpha), part)
            row.append(cell_of(from_image(result, "content")[0], cell))
        rows.append(row)
    return rows


class AdaINMeasure(io.ComfyNode):
    """Numbers for a result."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINMeasure",
            "AdaIN Measure Stylization",
            aliases=["ssim", "content loss", "style loss", "quality", "metrics"],
            description="How far a result is from its content and its style, in the features of a model's encoder."
            " Lower losses are better; only numbers from the same model compare.",
            inputs=[
                AdaINModel.Input(
                    "model",
                    tooltip="Its encoder measures, and may be alone; a model other than the one that stylized is the"
                    " fairer judge.",
                ),
                io.Image.Input("result", tooltip="The stylized picture."),
                io.Image.Input("content", tooltip="What it was made from; brought to the result's size if need be."),
                io.Image.Input("style", tooltip="The style picture; several are one style seen several times."),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="All numbers as text, for Preview Any."),
                io.Float.Output(display_name="content_loss", tooltip="Distance from the AdaIN target at relu4_1."),
                io.Float.Output(display_name="style_loss", tooltip="Distance of the statistics, over all layers."),
                io.Float.Output(display_name="ssim", tooltip="Structural similarity with the content, 1 if equal."),
            ],
        )

    @classmethod
    def execute(cls, model: Model, result: Tensor, content: Tensor, style: Tensor) -> io.NodeOutput:
        inputs = {"result": result, "content": content, "style": style}
        pictures = {name: from_image(image, name)[0] for name, image in inputs.items()}
        sizes = [pictures[name].shape[-2:] for name in ("result", "style")]
        encoder = model.load_encoder(estimate_memory(model.networks.encoder, sizes))
        measures = measure_result(encoder, **pictures, progress=NodeProgress())
        return io.NodeOutput(_report(model, measures), measures.content, measures.total_style, measures.ssim)


def _report(model: Model, measures: Measures) -> str:
    lines = [
        f"measured with {model.name} ({model.space})",
        f"content loss  {measures.content:.4f}",
        f"style loss    {measures.total_style:.4f}",
        *(f"  {tap}     {loss:.4f}" for tap, loss in measures.style.items()),
        f"SSIM          {measures.ssim:.4f}",
    ]
    return "\n".join(lines)
