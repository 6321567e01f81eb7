"""Makes the styles that Load Style lists at once: three of the example pictures, and the paintings of library.csv.

    python workflows/examples/make_library.py [--paintings FOLDER]

Run it again whenever the embedded model changes: a style belongs to the encoder that it was measured with. The
paintings are in the public domain, and are not here: FOLDER holds them under the file names of the column
``painting``. Without it the example pictures alone are measured anew. Every style's thumbnail, and its place in the
contact sheet of the help page, is a photograph of this folder in that style.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

EXAMPLES = Path(__file__).parent
ROOT = EXAMPLES.parent.parent
sys.path.insert(0, str(ROOT))

from adain_core import StyleTransfer  # noqa: E402
from adain_core.images.files import read_picture  # noqa: E402
from adain_core.images.pictures import from_pil  # noqa: E402
from adain_core.models.weights import EMBEDDED_STYLES  # noqa: E402

SHEET = ROOT / "web" / "docs" / "AdaINLoadStyle" / "styles.jpg"
EXAMPLE_NAMES = ("flow", "mosaic", "watercolour")
COLUMNS, CELL, GAP = 5, 176, 10
# A photograph is stylized a little larger than it is shown, for the strokes to remain visible.
SIDE = 256


def rows() -> list[dict[str, str]]:
    with (EXAMPLES / "library.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def title(row: dict[str, str]) -> str:
    """What a style is called in its file."""
    return f"{row['title']} ({row['year']}), {row['painter']} ({row['born']}–{row['died']})"


def make_examples(model: StyleTransfer) -> None:
    for name in EXAMPLE_NAMES:
        picture = read_picture(EXAMPLES / f"style_{name}.jpg").rgb
        model.compute_style_stats(picture).save(EMBEDDED_STYLES / f"{name}.safetensors", name)


def make_paintings(model: StyleTransfer, folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """Write the styles of the paintings; gives the name of each and a photograph in it."""
    for row in rows():
        style = model.compute_style_stats(read_picture(folder / row["painting"]).rgb)
        with Image.open(EXAMPLES / f"photo_{row['photo']}.jpg") as photo:
            stylized = model(ImageOps.fit(photo.convert("RGB"), (SIDE, SIDE)), style)
        path = EMBEDDED_STYLES / f"{row['style']}.safetensors"
        path.parent.mkdir(exist_ok=True)
        replace(style, image=from_pil(stylized).rgb).save(path, title(row))
        yield row["style"], stylized


def contact_sheet(pictures: list[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures in rows, each over its group and its name."""
    font = ImageFont.load_default(11)
    height = CELL + 34 + GAP
    lines = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (GAP + COLUMNS * (CELL + GAP), GAP + lines * height), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (name, picture) in enumerate(pictures):
        left, top = GAP + i % COLUMNS * (CELL + GAP), GAP + i // COLUMNS * height
        sheet.paste(picture.resize((CELL, CELL), Image.Resampling.LANCZOS), (left, top))
        draw.text((left, top + CELL + 3), name.replace("/", "/\n"), "black", font)
    return sheet


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paintings", type=Path, metavar="FOLDER", help="Where the paintings of library.csv are")
    folder = parser.parse_args().paintings
    model = StyleTransfer.from_pretrained("lite", device="cpu", dtype="float32")
    make_examples(model)
    if folder:
        contact_sheet(list(make_paintings(model, folder))).save(SHEET, quality=78)
