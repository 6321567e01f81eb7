"""Makes the mask, the short clip and the film that the workflows use, from the example photographs; needs PyAV.

python workflows/examples/make_inputs.py OUT_DIR
"""

import argparse
import math
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFilter

EXAMPLES = Path(__file__).parent
FRAMES = 12
FRAME_SIZE = (384, 256)
FILM_FRAMES, FILM_RATE = 48, 16


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


def write_film(path: Path) -> None:
    """A camera that comes nearer to the cat, looks from one eye to the other and goes back."""
    with Image.open(EXAMPLES / "photo_chelsea.jpg") as photo, av.open(str(path), "w") as film:
        # One thread: the file is the same at every run.
        stream = film.add_stream("libx264", rate=FILM_RATE, options={"crf": "24", "preset": "veryslow", "threads": "1"})
        stream.width, stream.height = FRAME_SIZE
        stream.pix_fmt = "yuv420p"
        for i in range(FILM_FRAMES):
            turn = 2 * math.pi * i / FILM_FRAMES
            near = (1 - math.cos(turn)) / 2
            width = 440 - 170 * near
            height = width * FRAME_SIZE[1] / FRAME_SIZE[0]
            left, top = 225 + 50 * near * math.sin(2 * turn) - width / 2, 148 - height / 2
            frame = photo.resize(FRAME_SIZE, Image.Resampling.LANCZOS, (left, top, left + width, top + height))
            film.mux(stream.encode(av.VideoFrame.from_image(frame)))
        film.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    out_dir = parser.parse_args().out_dir
    out_dir.mkdir(parents=True, exist_ok=True)
    coffee_mask().save(out_dir / "mask_coffee.png", optimize=True)
    first, *rest = clip()
    first.save(out_dir / "clip_rocket.webp", save_all=True, append_images=rest, duration=160, quality=90, method=6)
    write_film(out_dir / "film_chelsea.mp4")


if __name__ == "__main__":
    main()
