"""The preview pictures of the workflows: their results, side by side.

    python -m tests.nodes.previews

runs every workflow and writes ``workflows/*.jpg`` anew, after a workflow or the embedded model has changed.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from tests.nodes.api_forms import WORKFLOWS
from tests.nodes.fake import FAKE, import_pack, start

HEIGHT = 320
LARGEST = 1024
FRAMES_SHOWN = 3
_RESULT = 0


def shown(server: Any, form: dict[str, Any]) -> list[Tensor]:
    """The pictures [H, W, 3] that a workflow ends in: charts left out, of a film a few frames."""
    results = server.run(form)
    pictures = []
    for id, node in form.items():
        source = node["inputs"].get("video" if node["class_type"] == "SaveVideo" else "images")
        if source is None or source[1] != _RESULT:
            continue
        frames = results[id].ui.image
        pictures += [frames[i] for i in torch.linspace(0, len(frames) - 1, min(len(frames), FRAMES_SHOWN)).long()]
    return pictures


def side_by_side(pictures: list[Tensor]) -> Image.Image:
    """One row of pictures of the same height, as large as a preview may be."""
    images = [Image.fromarray(picture.mul(255).round().byte().numpy()) for picture in pictures]
    images = [i.resize((round(i.width * HEIGHT / i.height), HEIGHT), Image.Resampling.LANCZOS) for i in images]
    row = Image.new("RGB", (sum(image.width for image in images), HEIGHT))
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width
    row.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return row


def main() -> None:
    sys.path.insert(0, str(FAKE))
    with tempfile.TemporaryDirectory() as base:
        server = start(import_pack(), Path(base))
        shutil.copytree(WORKFLOWS / "examples", Path(base) / "input", dirs_exist_ok=True)
        for path in sorted((WORKFLOWS / "api").glob("*.json")):
            preview = side_by_side(shown(server, json.loads(path.read_text())))
            preview.save(WORKFLOWS / f"{path.stem}.jpg", quality=85, optimize=True)
            print(path.stem, *preview.size)


if __name__ == "__main__":
    main()
