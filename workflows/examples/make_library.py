"""Measures some of the example styles with the embedded model, for Load Style to list at once.

    python workflows/examples/make_library.py

Run it again whenever the embedded model changes: a style belongs to the encoder that it was measured with.
"""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent
sys.path.insert(0, str(EXAMPLES.parent.parent))

from adain_core import StyleTransfer  # noqa: E402
from adain_core.images.files import read_picture  # noqa: E402
from adain_core.models.weights import EMBEDDED  # noqa: E402

NAMES = ("flow", "mosaic", "watercolour")

if __name__ == "__main__":
    model = StyleTransfer.from_pretrained("lite", device="cpu", dtype="float32")
    for name in NAMES:
        picture = read_picture(EXAMPLES / f"style_{name}.jpg").rgb
        model.compute_style_stats(picture).save(EMBEDDED / "styles" / f"{name}.safetensors", name)
