"""Makes the mask and the short clip that the workflows use, from the example photographs.

python workflows/examples/make_inputs.py OUT_DIR
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

EXAMPLES = Path(__file__).parent
FRAMES = 12
FRAME_SIZE = (384, 256)


def coffee_mask() -> Image.Image:
    """White where the cup and its saucer are, with a soft edge."""
    mask = Image.new("L", (600, 400))
    draw = ImageDraw.Draw(mask)
    draw.ellipse((80, 44, 480, 384), 255)
    draw.ellipse((170, 18, 412, 200), 255)
    return mask.filter(ImageFilter.GaussianBlur(3))


def clip() -> list[Image.Image]:
    """A camera that pans over the rocket and comes nearer."""
    with Image.open(EXAMPLES / "photo_rocket.jpg") as photo:
        frames = []
        for i in range(FRAMES):
            share = i / (FRAMES - 1)
            width = 570 - 150 * share
            height = width * FRAME_SIZE[1] / FRAME_SIZE[0]
            left, top = 10 + 100 * share, 20 + 90 * share
            frames.append(photo.resize(FRAME_SIZE, Image.Resampling.LANCZOS, (left, top, left + width, top + height)))
        return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    out_dir = parser.parse_args().out_dir
    out_dir.mkdir(parents=True, exist_ok=True)
    coffee_mask().save(out_dir / "mask_coffee.png", optimize=True)
    first, *rest = clip()
    first.save(out_dir / "clip_rocket.webp", save_all=True, append_images=rest, duration=160, quality=90, method=6)


if __name__ == "__main__":
    main()
