"""Compare models on the pairs of two folders.

    python -m training.evaluate --content DIR --style DIR --model MODEL [--model ...] [--results [LABEL=]DIR ...]
        [--pairs all] [--every N] [--loss-network NAME|FILE] [--out DIR [--save]]

--pairs all takes every content in every style, content by content. --pairs 40 lets content i meet style (7 i + floor(i
/ number of contents)) modulo the number of styles. Both go by the order of the names; --every 13 takes each 13th of
them. Pictures are center squares of --size pixels. --results evaluates what another program made:
CONTENT_STYLE.png or CONTENT_stylized_STYLE.jpg and so on, after the names of the pictures.

Losses are those of Huang and Belongie 2017 (equations 12 and 13, as mean squared differences) under the loss network
that is named in the table, in float32; the content loss is the distance from the AdaIN target of that network. SSIM is
that of the luminances of content and result, chroma the correlation of their coarse colors. Beside the models stand two
baselines: the content itself and the style itself. PSNR is that of the reconstruction, seconds are for one pair (both
encoders, AdaIN, decoder), MiB is the peak beyond the weights.

DIR receives table.csv, table.md, contact_sheet.jpg and, while it works, pairs.csv with the numbers of each pair: the
same command goes on where an interrupted one ended. --save also writes the pictures to DIR/pictures, a folder for each
row.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from adain_core.cli.options import add_options
from adain_core.images.files import IMAGE_SUFFIXES, write_picture
from adain_core.images.pictures import Picture
from adain_core.measure.correlation import chroma_correlation
from adain_core.measure.losses import measure, psnr
from adain_core.models.spaces import digest
from adain_core.models.weights import load_encoder
from adain_core.networks.encoder import STYLE_TAPS
from adain_core.options import ModelOptions, Options
from adain_core.pipeline.analyzer import laid_out
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.runtime.device import resolve_device
from adain_core.runtime.files import write_atomically

from .command import TrainingError, positive_int, run_command, square_side
from .data import center_square, find_images
from .figures import picture_grid
from .pairs import Pair, Pairs, pair_name, pair_paths
from .records import Records, Row
from .resources import peak_mebibytes, timed

SHEET_ROWS = 8
COLUMNS = ("content", *STYLE_TAPS, "style", "SSIM", "chroma", "PSNR at alpha 0", "seconds", "MiB")
_SUMMARIES: dict[str, Callable[[list[float]], float]] = {"seconds": statistics.median, "MiB": max}
"""How the numbers of the pairs become the model's, where not by their mean."""


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Args:
        label: its name there.
        identity: what tells it from another one of that name.
        stylize: the result [1, 3, H, W] for a pair.
        model: what makes it, whose time, memory and reconstruction are measured too.
    """

    label: str
    identity: str
    stylize: Callable[[Pair], Tensor]
    model: StyleTransfer | None = None


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, nargs="+", required=True, help="folders or files")
    parser.add_argument("--style", type=Path, nargs="+", required=True, help="folders or files")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="[LABEL=]MODEL[,DECODER]",
        help="a name, a .safetensors file or a folder; repeat to compare",
    )
    parser.add_argument(
        "--results", action="append", default=[], metavar="[LABEL=]DIR", help="pictures that another program made"
    )
    parser.add_argument("--loss-network", default="vgg19-normalised", help="a preset or an encoder's file")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the table and the contact sheet")
    parser.add_argument("--save", action="store_true", help="write the pictures to DIR/pictures, too")
    parser.add_argument("--pairs", type=pair_count, default=40, help="number of pairs, or all (default: 40)")
    parser.add_argument("--every", type=positive_int, default=1, metavar="N", help="each N-th of the pairs only")
    parser.add_argument("--size", type=square_side, default=512, help="side of the squares in pixels (default: 512)")
    add_options(parser, Options, "alpha", "transform")
    add_options(parser, ModelOptions, "device", "dtype")
    return parser.parse_args(argv)


def pair_count(text: str) -> int | None:
    """An argparse type: a number of pairs, or None for ``all``."""
    return None if text == "all" else positive_int(text)


def split_label(text: str) -> tuple[str, str]:
    """The label, or nothing, and the rest of ``[LABEL=]NAME[,DECODER]``."""
    if "=" not in text or Path(text.partition(",")[0]).exists():  # a path may hold an equals sign
        return "", text
    label, _, name = text.partition("=")
    return label, name


def labeled_model(text: str, device: str, dtype: str) -> tuple[str, StyleTransfer]:
    """The model that ``[LABEL=]MODEL[,DECODER]`` names, and its label."""
    label, names = split_label(text)
    model, _, decoder = names.partition(",")
    return label or Path(decoder or model).stem, StyleTransfer.from_pretrained(model, decoder or None, device, dtype)


def model_contestant(text: str, args: argparse.Namespace) -> Contestant:
    """A model by its name or file."""
    label, model = labeled_model(text, args.device, args.dtype)
    options = {"alpha": 0.0 if model.decoder.style_inside else args.alpha, "transform": args.transform}
    weights = " ".join(digest(network.state_dict()) for network in (model.encoder, model.decoder))
    return Contestant(label, weights, lambda pair: model(pair.content, pair.style, **options), model)


def folder_contestant(text: str, size: int) -> Contestant:
    """Another program's results.

    Raises:
        TrainingError: there is no such folder.
    """
    label, place = split_label(text)
    folder = Path(place)
    if not folder.is_dir():
        raise TrainingError(f"There is no folder {folder}; --results takes one with pictures named CONTENT_STYLE.png.")
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES}

    def read(pair: Pair) -> Tensor:
        names = (pair.name, f"{pair.content_path.stem}_stylized_{pair.style_path.stem}")
        found = [files[name] for name in names if name in files]
        if not found:
            raise TrainingError(f"{folder} lacks the picture {pair.name}.png, or whatever its suffix is.")
        return center_square(found[0], size).to(pair.content.device)

    return Contestant(label or folder.name, str(folder.resolve()), read)


def contestants_of(args: argparse.Namespace) -> list[Contestant]:
    """The baselines, the models and the folders of results.

    Raises:
        TrainingError: there is none, or two have the same name.
        WeightsError: a model cannot be had.
    """
    if not (args.model or args.results):
        raise TrainingError("There is nothing to compare; name a --model or a folder of --results.")
    contestants = [
        Contestant("copy content", "", lambda pair: pair.content),
        Contestant("copy style", "", lambda pair: pair.style),
        *(model_contestant(text, args) for text in args.model),
        *(folder_contestant(text, args.size) for text in args.results),
    ]
    labels = [contestant.label for contestant in contestants]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise TrainingError(f"Two are called {', '.join(sorted(twice))}; give them labels: --model LABEL=MODEL.")
    return contestants


@torch.inference_mode()
def measure_pair(contestant: Contestant, pairs: Pairs, number: int, first_of_content: bool) -> tuple[Row, Tensor]:
    """The numbers of one pair under COLUMNS, and the result [1, 3, H, W].

    Args:
        contestant: whose.
        pairs: all of them.
        number: of the pair; at the first one memory is measured.
        first_of_content: measure the content's reconstruction.
    """
    pair, model = pairs[number], contestant.model
    mebibytes = seconds = noise = None
    stylize = partial(contestant.stylize, pair)
    if model and number == 0:  # warms up caches and kernels, too
        mebibytes = peak_mebibytes(model.device, stylize)
    if model:
        result, seconds = timed(model.device, stylize)
    else:
        result = stylize()
    if model and first_of_content and not model.decoder.style_inside:
        noise = psnr(model(pair.content, pair.style, alpha=0.0), pair.content).item()
    measures = measure(pairs.loss_network, result, pair.content, pair.content_features, pair.stats)
    chroma = chroma_correlation(result, pair.content).item()
    numbers = [measures.content, *(measures.style[tap] for tap in STYLE_TAPS), measures.total_style, measures.ssim]
    rest = [None if math.isnan(chroma) else chroma, noise, seconds, mebibytes]
    return dict(zip(COLUMNS, [*numbers, *rest], strict=True)), result


def measure_missing(contestants: Sequence[Contestant], pairs: Pairs, records: Records, pictures: Path | None) -> None:
    """Measure what is not measured yet, pair by pair, so that an evaluation that was left compares all on the same
    ones.

    Args:
        contestants: whose results.
        pairs: all of them.
        records: receives the numbers.
        pictures: a folder for the results, if they are to be kept.
    """
    seen: set[Path] = set()
    for number, paths in enumerate(tqdm(pairs.paths, unit="pair", disable=None)):
        name = pair_name(*paths)
        for contestant in contestants:
            file = pictures / contestant.label / f"{name}.png" if pictures else None
            if (contestant.label, name) in records and (not file or file.exists()):
                continue
            row, result = measure_pair(contestant, pairs, number, paths[0] not in seen)
            if file:
                write_picture(Picture(result.float().cpu()), file)
            records.add(contestant.label, name, row)
        seen.add(paths[0])


def summary(rows: Sequence[Row]) -> Row:
    """The numbers of a model from those of its pairs."""
    known = {column: [value for row in rows if (value := row[column]) is not None] for column in COLUMNS}
    return {
        column: _SUMMARIES.get(column, statistics.fmean)(values) if values else None for column, values in known.items()
    }


def evaluate(args: argparse.Namespace) -> None:
    if args.save and not args.out:
        raise TrainingError("--save needs --out DIR, where the pictures go.")
    device = resolve_device(args.device)
    encoder, loss_space = load_encoder(args.loss_network)
    loss_network = laid_out(encoder.to(device))
    paths = pair_paths(find_images(*args.content), find_images(*args.style), args.pairs, args.every)
    pairs = Pairs(paths, loss_network, args.size)
    contestants = contestants_of(args)
    identities = {f"model {contestant.label}": contestant.identity for contestant in contestants}
    settings = {"size": str(args.size), "alpha": f"{args.alpha:g}", "transform": args.transform}
    settings |= {"loss network": loss_space, "dtype": args.dtype}
    records = Records(args.out, settings | identities, COLUMNS)
    pictures = args.out / "pictures" if args.save else None
    measure_missing(contestants, pairs, records, pictures)
    names = [pair_name(*paths) for paths in pairs.paths]
    rows = [(one.label, summary([records[one.label, name] for name in names])) for one in contestants]
    heading = (
        f"{len(pairs)} pairs at {args.size} x {args.size}, alpha {args.alpha:g}, {args.transform}; loss network"
        f" {loss_space}; models in {args.dtype} on {device}\n\n"
    )
    print(heading + markdown(rows), end="")
    if args.out:
        write_results(args.out, heading, rows)
        write_sheet(args.out / "contact_sheet.jpg", pairs, contestants[2:])


def markdown(rows: Sequence[tuple[str, Row]]) -> str:
    """A table with three decimals."""
    cells = [["model", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    cells += [[label, *("" if v is None else f"{v:.3f}" for v in row.values())] for label, row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


def write_results(folder: Path, heading: str, rows: Sequence[tuple[str, Row]]) -> None:
    """Write table.md and table.csv."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, ["model", *COLUMNS])
    writer.writeheader()
    writer.writerows({"model": label, **row} for label, row in rows)
    write_atomically(folder / "table.csv", buffer.getvalue().encode())
    write_atomically(folder / "table.md", (heading + markdown(rows)).encode())


def write_sheet(path: Path, pairs: Pairs, contestants: Sequence[Contestant]) -> None:
    """Contents, styles and results of the first pairs side by side, one pair in each row."""
    rows = []
    for number in range(min(SHEET_ROWS, len(pairs))):
        pair = pairs[number]
        rows.append([pair.content[0], pair.style[0], *(contestant.stylize(pair)[0] for contestant in contestants)])
    picture_grid(rows, path, ["content", "style", *(contestant.label for contestant in contestants)], inches=2.56)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(evaluate, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
