"""Compare models on the pairs of two folders.

    python -m training.evaluate --content DIR --style DIR --loss-network NAME|FILE --model MODEL [--model ...] --out DIR

Content i goes with style (7 i + floor(i / number of contents)) modulo the number of styles, both in the order of their
names, as center squares of --size pixels. Losses are those of Huang and Belongie 2017 (equations 12 and 13, as mean
squared differences) under the loss network that is named in the table, in float32; the content loss is the distance
from the AdaIN target of that network. Beside the models stand two baselines: the content itself and the style itself.
PSNR is that of the reconstruction, seconds are for one pair (both encoders, AdaIN, decoder), MiB is the peak beyond the
weights. OUT receives table.csv, table.md and contact_sheet.jpg.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from adain_core.cli.options import positive_int, unit_interval
from adain_core.measure.losses import Measures, measure, psnr
from adain_core.models.weights import load_encoder
from adain_core.networks.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.runtime.device import resolve_device
from adain_core.runtime.files import write_atomically
from adain_core.styles.stats import StyleStats

from .command import run_command, square_side
from .data import center_square, find_images
from .figures import picture_grid
from .resources import peak_mebibytes, timed

SHEET_ROWS = 8
COLUMNS = ("content", *STYLE_TAPS, "style", "SSIM", "PSNR at alpha 0", "seconds", "MiB")


@dataclass(frozen=True)
class Pair:
    """A content and a style [1, 3, H, W] in 0..1, and what the loss network says of them."""

    content: Tensor
    style: Tensor
    content_features: Tensor
    stats: StyleStats


@dataclass
class Scores:
    """What was measured of one model, in lists with an entry for each pair (each content for the PSNR)."""

    label: str
    measures: list[Measures] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    mebibytes: float | None = None

    def row(self) -> dict[str, float | str]:
        """Means of the measures, the median of the seconds and the peak memory, under the table's columns."""
        mean = statistics.fmean
        return {
            "model": self.label,
            "content": mean(m.content for m in self.measures),
            **{tap: mean(m.style[tap] for m in self.measures) for tap in STYLE_TAPS},
            "style": mean(m.total_style for m in self.measures),
            "SSIM": mean(m.ssim for m in self.measures),
            "PSNR at alpha 0": mean(self.psnr) if self.psnr else "",
            "seconds": statistics.median(self.seconds) if self.seconds else "",
            "MiB": "" if self.mebibytes is None else self.mebibytes,
        }


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, nargs="+", required=True, help="folders or files")
    parser.add_argument("--style", type=Path, nargs="+", required=True, help="folders or files")
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="[LABEL=]MODEL[,DECODER]",
        help="a name, a .safetensors file or a folder; repeat to compare",
    )
    parser.add_argument("--loss-network", default="vgg19-normalised", help="a preset or an encoder's file")
    parser.add_argument("--out", type=Path, help="folder for the table and the contact sheet")
    parser.add_argument("--pairs", type=positive_int, default=40, help="number of pairs (default: 40)")
    parser.add_argument("--size", type=square_side, default=512, help="side of the squares in pixels (default: 512)")
    parser.add_argument(
        "--alpha", type=unit_interval, default=1.0, help="strength of the style (default: 1); 0 where it is inside"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", help="of the models: auto, float32, bfloat16, float16")
    return parser.parse_args(argv)


def pair_numbers(pairs: int, contents: int, styles: int) -> list[tuple[int, int]]:
    """Which content meets which style."""
    return [(i % contents, (7 * i + i // contents) % styles) for i in range(pairs)]


def load_model(text: str, device: str, dtype: str) -> tuple[str, StyleTransfer]:
    """The model that ``[LABEL=]MODEL[,DECODER]`` names, and its label."""
    is_path = Path(text.partition(",")[0]).exists()  # which may hold an equals sign
    label, names = text.split("=", 1) if "=" in text and not is_path else ("", text)
    model, _, decoder = names.partition(",")
    return label or Path(decoder or model).stem, StyleTransfer.from_pretrained(model, decoder or None, device, dtype)


class Pairs:
    """The pairs of two lists of images; each image is read and encoded once."""

    def __init__(self, contents: list[Path], styles: list[Path], loss_network: Encoder, size: int, count: int) -> None:
        self.numbers = pair_numbers(count, len(contents), len(styles))
        self.contents, self.styles = contents, styles
        self.loss_network = loss_network
        self.size = size
        self._content_features: dict[int, Tensor] = {}
        self._stats: dict[int, StyleStats] = {}

    def __iter__(self) -> Iterator[Pair]:
        device = next(self.loss_network.parameters()).device
        for i, j in self.numbers:
            content, style = (center_square(path, self.size).to(device) for path in (self.contents[i], self.styles[j]))
            if i not in self._content_features:
                self._content_features[i] = self.loss_network(content)[DEEPEST_TAP]
            if j not in self._stats:
                self._stats[j] = StyleStats.measure(self.loss_network(style, STYLE_TAPS), space="")
            yield Pair(content, style, self._content_features[i], self._stats[j])


@torch.inference_mode()
def score_baseline(label: str, pick: Callable[[Pair], Tensor], pairs: Pairs) -> Scores:
    """Measure a picture of the pair as if it were the result."""
    scores = Scores(label)
    for pair in tqdm(pairs, label, total=len(pairs.numbers), disable=None):
        scores.measures.append(measure(pairs.loss_network, pick(pair), pair.content, pair.content_features, pair.stats))
    return scores


@torch.inference_mode()
def score_model(label: str, model: StyleTransfer, pairs: Pairs, alpha: float) -> tuple[Scores, list[Tensor]]:
    """Measure a model's results; the first few of them come along for the contact sheet."""
    scores, results = Scores(label), []
    for number, pair in enumerate(tqdm(pairs, label, total=len(pairs.numbers), disable=None)):
        stylize = partial(model, pair.content, pair.style, 0.0 if model.decoder.style_inside else alpha)
        if number == 0:  # warms up caches and kernels, too
            scores.mebibytes = peak_mebibytes(model.device, stylize)
        result, seconds = timed(model.device, stylize)
        scores.seconds.append(seconds)
        scores.measures.append(measure(pairs.loss_network, result, pair.content, pair.content_features, pair.stats))
        if number < len(pairs.contents) and not model.decoder.style_inside:
            scores.psnr.append(psnr(model(pair.content, pair.style, 0.0), pair.content).item())
        if number < SHEET_ROWS:
            results.append(result[0].cpu())
    return scores, results


def markdown(rows: list[dict[str, float | str]]) -> str:
    """A table with three decimals."""
    cells = [["model", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    cells += [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


def evaluate(args: argparse.Namespace) -> None:
    device = resolve_device(args.device)
    encoder, loss_space = load_encoder(args.loss_network)
    loss_network = encoder.to(device, memory_format=torch.channels_last)
    pairs = Pairs(find_images(*args.content), find_images(*args.style), loss_network, args.size, args.pairs)
    models = [load_model(text, args.device, args.dtype) for text in args.model]
    scores = [score_baseline("copy content", lambda pair: pair.content, pairs)]
    scores.append(score_baseline("copy style", lambda pair: pair.style, pairs))
    sheet: list[list[Tensor]] = []
    for label, model in models:
        score, results = score_model(label, model, pairs, args.alpha)
        scores.append(score)
        sheet.append(results)
    rows = [score.row() for score in scores]
    heading = (
        f"{args.pairs} pairs at {args.size} x {args.size}, alpha {args.alpha:g}; loss network {loss_space};"
        f" models in {args.dtype} on {device}\n\n"
    )
    print(heading + markdown(rows), end="")
    if args.out:
        write_results(args.out, heading, rows)
        write_sheet(args.out / "contact_sheet.jpg", pairs, [label for label, _ in models], sheet)


def write_results(folder: Path, heading: str, rows: list[dict[str, float | str]]) -> None:
    """Write table.md and table.csv."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, ["model", *COLUMNS])
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "table.csv", buffer.getvalue().encode())
    write_atomically(folder / "table.md", (heading + markdown(rows)).encode())


def write_sheet(path: Path, pairs: Pairs, labels: list[str], results: list[list[Tensor]]) -> None:
    """Contents, styles and results side by side, one pair in each row."""
    inputs = [
        [center_square(pairs.contents[i], pairs.size)[0], center_square(pairs.styles[j], pairs.size)[0]]
        for i, j in pairs.numbers[:SHEET_ROWS]
    ]
    rows = [[*pair, *outputs] for pair, outputs in zip(inputs, zip(*results, strict=True), strict=True)]
    picture_grid(rows, path, ["content", "style", *labels], inches=2.56)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(evaluate, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
