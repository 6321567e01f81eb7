"""A model as two ONNX files, for programs without PyTorch: one measures a style, the other paints.

Both are traced from the functions that :meth:`Steps.forward` is made of. ``docs/onnx.md`` says how they are called.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.encoder import DEEPEST_TAP, STYLE_TAPS
from ..runtime.files import write_atomically
from ..runtime.progress import Progress, ignore_progress
from ..runtime.version import VERSION
from ..styles.stats import StyleStats
from .blend import Blend, paint
from .steps import Steps
from .tiling import crop, pad_to_grid

STYLE_FILE, PAINT_FILE = "style.onnx", "paint.onnx"
OPSET = 18
SMALLEST_SIDE = 16
TOLERANCE = 1 / 255

# Sizes of content and style, and strength; one of them needs no padding.
_CHECKS = (((64, 64), (48, 80), 1.0), ((99, 70), (33, 51), 0.6), ((16, 131), (120, 17), 0.0))
_NO_LIMIT = 2**40


class ExportError(ValueError):
    """A model cannot be exported, or what came out does not do what the model does."""


class Measure(nn.Module):
    """From a style [1, 3, h, w] in 0..1 to the statistics [1, N] that the decoder needs, one after the other."""

    def __init__(self, model: Steps) -> None:
        super().__init__()
        self.model = model

    def forward(self, style: Tensor) -> Tensor:
        model = self.model
        maps = model.encoder(pad_to_grid(style), model.style_taps)
        measured = {tap: maps[tap] for tap in model.style_taps}
        stats = StyleStats.measure(measured, model.space, covariance_at=model.skips.transported)
        keys = (key.split(".") for key in layout(model))
        return torch.cat([getattr(stats, part)[tap].flatten(1) for part, tap in keys], dim=1)


class Paint(nn.Module):
    """From a content [1, 3, H, W] in 0..1, statistics [1, N] and a strength [1] to a picture [1, 3, H, W] in 0..1."""

    def __init__(self, model: Steps) -> None:
        super().__init__()
        self.model = model

    def forward(self, content: Tensor, statistics: Tensor, alpha: Tensor) -> Tensor:
        model = self.model
        stats = StyleStats({}, {}, model.space)
        lengths = layout(model)
        for key, x in zip(lengths, statistics.split(list(lengths.values()), dim=1), strict=True):
            part, tap = key.split(".")
            shape = (-1, len(stats.mean[tap][0])) if part == "covariance" else (-1, 1, 1)
            getattr(stats, part)[tap] = x.unflatten(1, shape)
        maps = model.encoder(pad_to_grid(content), (DEEPEST_TAP, *model.skips.taps))
        picture = paint(model.decoder, maps, [Blend(stats, alpha)])
        return crop(picture, content.shape[-2:]).float().clamp(0, 1)


def layout(model: Steps) -> dict[str, int]:
    """The parts of the statistics in order, as style files call them, such as ``mean.relu4_1``, and their lengths."""
    widths = dict(zip(STYLE_TAPS, model.encoder.widths, strict=False))
    parts = {f"{part}.{tap}": widths[tap] for tap in model.style_taps for part in ("mean", "std")}
    return parts | {f"covariance.{tap}": widths[tap] ** 2 for tap in model.skips.transported}


def export_onnx(
    model: Steps,
    folder: Path,
    info: Mapping[str, str],
    half: bool = False,
    progress: Progress = ignore_progress,
) -> list[Path]:
    """Write a model as two ONNX files, after onnxruntime's results were compared with PyTorch's.

    Args:
        model: what is exported.
        folder: where; files there of the same names are replaced.
        info: metadata for the files, such as the license. Space, version and the layout of the statistics come besides.
        half: compute in float16; pictures, statistics and the sums behind them stay in float32.
        progress: called with the share that is done.

    Returns:
        The two files: what measures, and what paints.

    Raises:
        ExportError: onnx, onnxscript or onnxruntime are missing, PyTorch is older than 2.7, the decoder needs more
            of a style than statistics, or onnxruntime's picture is not PyTorch's.
        OSError: there is no room or no right to write; nothing half-written is left.
    """
    _check_exportable(model)
    _check_installed()
    traced = copy.deepcopy(model).to("cpu", torch.float16 if half else torch.float32).eval()
    # Padded pictures halve without a rest, and not every runtime rounds up.
    traced.encoder.pool = nn.MaxPool2d(2)
    example = torch.zeros(1, 3, SMALLEST_SIDE + 5, SMALLEST_SIDE + 9)
    statistics = torch.ones(1, sum(layout(model).values()))
    metadata = {**info, "space": model.space, "version": VERSION, "statistics": json.dumps(layout(model))}
    measure = _traced(Measure(traced), {"style": example}, "statistics", metadata)
    progress(0.4)
    inputs = {"content": example, "statistics": statistics, "alpha": torch.ones(1)}
    painting = _traced(Paint(traced), inputs, "picture", metadata)
    progress(0.8)
    compare(copy.deepcopy(model).to("cpu", torch.float32), measure, painting)
    files = {folder / STYLE_FILE: measure, folder / PAINT_FILE: painting}
    for path, data in files.items():
        write_atomically(path, data)
    progress(1.0)
    return list(files)


def _check_installed() -> None:
    if torch.__version__ < "2.7":
        raise ExportError(f"The export needs PyTorch 2.7 or later; this is {torch.__version__}.")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"The export needs onnx, onnxscript and onnxruntime, but Python says: {error}. Install them with:"
            " pip install onnx onnxscript onnxruntime"
        ) from error


def _check_exportable(model: Steps) -> None:
    if model.skips.need_style_image:
        raise ExportError(
            f"The decoder '{model.skips}' takes the style's own maps, which are larger than its picture; only decoders"
            " that take statistics can be exported: plain ones, and those with skips from the content."
        )
    if model.decoder.style_inside:
        raise ExportError("This decoder has its one style inside (batch normalization); there is none to measure.")


def _traced(module: nn.Module, inputs: Mapping[str, Tensor], output: str, metadata: Mapping[str, str]) -> bytes:
    """A module as ONNX, for pictures of any size."""
    import onnx
    import onnxscript.optimizer

    sides = {2: torch.export.Dim("height", min=SMALLEST_SIDE), 3: torch.export.Dim("width", min=SMALLEST_SIDE)}
    with _quiet():
        program = torch.onnx.export(
            module.requires_grad_(False),
            tuple(inputs.values()),
            dynamo=True,
            optimize=False,
            verbose=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple(sides if x.ndim == 4 else None for x in inputs.values()),
        )
    assert program is not None  # it is for a caller that names no file
    # Kernels that are made of weights are made now, whatever their size.
    onnxscript.optimizer.optimize(program.model, input_size_limit=_NO_LIMIT, output_size_limit=_NO_LIMIT)
    proto = program.model_proto
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        del part.metadata_props[:]  # paths of this machine, which PyTorch leaves for its developers
    proto.producer_name, proto.producer_version = "adain-style-transfer", VERSION
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what PyTorch's exporter says of itself and of packages that nobody needs here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def compare(model: Steps, measure: bytes, painting: bytes) -> None:
    """Let onnxruntime paint pictures of three sizes, and hold them against the model's.

    Args:
        model: on the CPU.
        measure, painting: the two files.

    Raises:
        ExportError: a pixel differs by more than :data:`TOLERANCE`.
    """
    import onnxruntime

    style_session, paint_session = (
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]) for data in (measure, painting)
    )
    for content_size, style_size, alpha in _CHECKS:
        content, style = _picture(content_size, 0), _picture(style_size, 1)
        (statistics,) = style_session.run(None, {"style": style.numpy()})
        inputs = {"content": content.numpy(), "statistics": statistics, "alpha": torch.tensor([alpha]).numpy()}
        (picture,) = paint_session.run(None, inputs)
        with torch.no_grad():
            expected = model.forward(content, style, alpha).clamp(0, 1)
        error = float((torch.from_numpy(picture) - expected).abs().max())
        if not error <= TOLERANCE:
            raise ExportError(
                f"onnxruntime's picture of {content_size[1]} x {content_size[0]} pixels differs from PyTorch's by up to"
                f" {error * 255:.1f} of 255 levels, where 1 is allowed; nothing was written. float32 is more exact than"
                " float16."
            )


def _picture(size: Sequence[int], seed: int) -> Tensor:
    """A smooth random picture [1, 3, H, W] with some grain."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(1, 3, 5, 5, generator=generator), size=tuple(size), mode="bicubic")
    return (0.9 * coarse + 0.1 * torch.rand(coarse.shape, generator=generator)).clamp(0, 1)
