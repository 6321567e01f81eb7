"""Makes the pictures of the README, the documents and the registry, all of them results of the embedded models.

    python docs/make_pictures.py [NAME ...]

Run it again whenever the embedded models change. Without names it makes all but gatys, which takes half an hour,
and gatys-hard, which needs what training needs.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "workflows" / "examples"
sys.path.insert(0, str(DOCS.parent))

from adain_core import StyleTransfer  # noqa: E402
from adain_core.cli import main as adain  # noqa: E402
from adain_core.images.files import read_picture  # noqa: E402
from adain_core.images.pictures import Picture, from_pil, scale_short_side, to_pil  # noqa: E402
from adain_core.images.sheets import contact_sheet  # noqa: E402

CAT, WOMAN, CUP, ROCKET = "photo_chelsea", "photo_astronaut", "photo_coffee", "photo_rocket"
# What the README begins with: photographs, styles, and where to cut when a photograph is not as wide as its place.
GALLERY = [
    (CUP, "style_mosaic", (0.5, 0.5)),
    (WOMAN, "style_woodcut", (0.5, 0.0)),
    (CAT, "style_pointillism", (0.5, 0.5)),
    (ROCKET, "style_flow", (0.5, 0.5)),
    (WOMAN, "style_hatching", (0.5, 0.0)),
    (CAT, "style_stained_glass", (0.5, 0.5)),
]
STROKES = 256
"""Short side at which the gallery is stylized: small, so that strokes are large enough to be seen."""


def picture(name: str, side: int | None = None) -> Tensor:
    """An example picture, or a mask from white to black, with a short side of so many pixels."""
    path = EXAMPLES / (f"{name}.png" if name.startswith("mask") else f"{name}.jpg")
    return scale_short_side(read_picture(path).rgb, side)


@cache
def model(name: str = "lite") -> StyleTransfer:
    return StyleTransfer.from_pretrained(name, device="cpu", dtype="float32")


def image(pixels: Tensor) -> Image.Image:
    return to_pil(Picture(pixels))


def tensor(pixels: Image.Image) -> Tensor:
    return from_pil(pixels).rgb


def save(pixels: Image.Image | Tensor, name: str, quality: int = 85) -> None:
    shown = pixels if isinstance(pixels, Image.Image) else image(pixels)
    shown.save(DOCS / name, quality=quality, optimize=True)


def gallery() -> None:
    """Six results, each with its style in a corner."""
    width, height, columns, inset, gap = 480, 360, 3, 112, 6
    sheet = Image.new("RGB", (columns * (width + gap) - gap, 2 * (height + gap) - gap), "white")
    for number, (photo, style, center) in enumerate(GALLERY):
        result = image(model()(picture(photo, 512), picture(style), work_size=STROKES))
        result = ImageOps.fit(result, (width, height), Image.Resampling.LANCZOS, centering=center)
        corner = ImageOps.fit(image(picture(style)), (inset, inset), Image.Resampling.LANCZOS)
        result.paste(ImageOps.expand(corner, gap // 2, "white"), (0, height - inset - gap))
        left, top = number % columns * (width + gap), number // columns * (height + gap)
        sheet.paste(result, (left, top))
    save(sheet, "gallery.jpg")


def slanted(size: tuple[int, int], left: float, slant: int) -> tuple[Image.Image, list[tuple[float, float]]]:
    """A mask of what is to the right of a slanted line, and the line itself."""
    width, height = size
    line = [(left + slant, 0), (left - slant, height)]
    right = Image.new("L", size)
    ImageDraw.Draw(right).polygon([*line, (width + slant, height), (width + slant, 0)], fill=255)
    return right, line


def icon() -> None:
    """A photograph and its mosaic, halved by a slanted line."""
    size = (400, 400)
    photo, mosaic = (
        ImageOps.fit(image(pixels), size, Image.Resampling.LANCZOS, centering=(0.3, 0.4))
        for pixels in (picture(CAT, 512), model()(picture(CAT, 512), picture("style_mosaic"), work_size=STROKES))
    )
    right, line = slanted(size, size[0] / 2, 40)
    shown = Image.composite(mosaic, photo, right)
    ImageDraw.Draw(shown).line(line, "white", 6)
    shown.quantize(256, Image.Quantize.MEDIANCUT).save(DOCS / "icon.png", optimize=True)


def banner() -> None:
    """A portrait and its results in several styles as slanted stripes, 21:9."""
    size, stripe, slant = (1260, 540), 252, 40
    photo = picture(WOMAN, 512)
    styles = [picture(f"style_{name}") for name in ("woodcut", "mosaic", "flow", "hatching")]
    shown = Image.new("RGB", size)
    draw = ImageDraw.Draw(shown)
    for number, pixels in enumerate([photo, *(model()(photo, style, work_size=STROKES) for style in styles)]):
        part = ImageOps.fit(image(pixels), (stripe + 2 * slant, size[1]), Image.Resampling.LANCZOS, centering=(0.4, 0))
        layer = Image.new("RGB", size)
        layer.paste(part, (number * stripe - slant, 0))
        right, line = slanted(size, number * stripe, slant)
        shown.paste(layer, mask=right if number else None)
        if number:
            draw.line(line, "white", 5)
    save(shown, "banner.jpg")


def work_size() -> None:
    """One photograph at three working sizes."""
    photo, sizes = picture(WOMAN, 1440), (1440, 720, 360)
    names = ["style_flow", "style_hatching"]
    rows = [[style, *(model()(photo, style, work_size=size) for size in sizes)] for style in map(picture, names)]
    save(contact_sheet(rows, names, ["style", *(f"work size {size}" for size in sizes)], cell=240), "work-size.jpg")


def gatys() -> None:
    """The optimization, with the commands of docs/gatys.md."""
    small = ["--size", "192", "--scales", "4", "--iterations", "200"]
    runs = [
        ("cat", CAT, "style_flow", ["--size", "256", "--iterations", "300"]),
        ("cup", CUP, "style_stained_glass", small),
        ("astronaut", WOMAN, "style_mosaic", small),
    ]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.png"
        end = ["--model", "lite-large", "-o", str(out), "--overwrite"]
        for _, photo, style, options in runs:
            adain(["gatys", str(EXAMPLES / f"{photo}.jpg"), str(EXAMPLES / f"{style}.jpg"), *options, *end])
            rows.append([picture(photo, 256), picture(style, 256), read_picture(out).rgb])
        dots = EXAMPLES / "style_pointillism.jpg"
        adain(["texture", str(dots), "--size", "288x192", "--style-size", "256", *small[2:], *end])
        noise = torch.rand(1, 3, 192, 288, generator=torch.Generator().manual_seed(0))
        rows.append([noise, picture("style_pointillism", 256), read_picture(out).rgb])
    names = [*(name for name, *_ in runs), "texture"]
    save(contact_sheet(rows, names, ["start", "style", "result"], cell=210), "gatys.jpg", quality=82)


def gatys_hard() -> None:
    """AdaIN beside the optimization, with the command of docs/gatys.md."""
    from training.experiments import main as experiments

    with tempfile.TemporaryDirectory() as folder:
        experiments(["figure-6", "--model", "lite", "--size", "384", "--iterations", "100", "300", "--out", folder])
        save(read_picture(Path(folder) / "figure-6.png").rgb, "gatys-hard.jpg")


def looks_wrong() -> None:
    """The pictures of docs/looks-wrong.md: a photograph, its result as it comes, and what each option changes."""
    (DOCS / "looks-wrong").mkdir(exist_ok=True)
    cat, cup, woman = (picture(name, 512) for name in (CAT, CUP, WOMAN))
    mosaic, dots, ink = (picture(f"style_{name}") for name in ("mosaic", "pointillism", "hatching"))
    face, sky = (150, 0, 310, 210), (0, 0, 200, 200)

    def row(name: str, photo: Tensor, results: dict[str, Tensor], box: tuple[int, int, int, int] | None = None) -> None:
        """A row of the photograph and its results, or of the same part of each."""
        parts = [tensor(image(pixels).crop(box)) for pixels in (photo, *results.values())]
        save(contact_sheet([parts], [""], ["photo", *results], cell=320), f"looks-wrong/{name}.jpg")

    row(
        "weak",
        cat,
        {
            "alpha 0.4": model()(cat, mosaic, alpha=0.4),
            "alpha 1": model()(cat, mosaic),
            "work size 256": model()(cat, mosaic, work_size=256),
        },
    )
    row(
        "colors",
        cup,
        {
            "as it comes": model()(cup, dots),
            "luminance": model()(cup, dots, keep_colors="luminance"),
            "covariance": model()(cup, dots, keep_colors="covariance"),
        },
    )
    row(
        "strokes",
        cup,
        {
            "as it comes": model()(cup, mosaic),
            "style scale 2": model()(cup, mosaic, style_scale=2),
            "work size 200": model()(cup, mosaic, work_size=200),
        },
    )
    row(
        "faces",
        woman,
        {
            "work size 256": model()(woman, mosaic, work_size=256),
            "as it comes": model()(woman, mosaic),
            "alpha 0.5": model()(woman, mosaic, alpha=0.5),
        },
        face,
    )
    row(
        "grain",
        woman,
        {
            "as it comes": model()(woman, ink),
            "style size 200": model()(woman, ink, style_size=200),
            "alpha 0.6": model()(woman, ink, alpha=0.6),
        },
        sky,
    )


MAKERS: dict[str, Callable[[], None]] = {
    "icon": icon,
    "banner": banner,
    "gallery": gallery,
    "work-size": work_size,
    "looks-wrong": looks_wrong,
    "gatys": gatys,
    "gatys-hard": gatys_hard,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*MAKERS, []], help=", ".join(MAKERS))
    for name in parser.parse_args().names or [name for name in MAKERS if not name.startswith("gatys")]:
        MAKERS[name]()
        print(name)


if __name__ == "__main__":
    main()
