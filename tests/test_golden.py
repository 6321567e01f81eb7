"""A stylization with the embedded weights, as it was when they were embedded.

    python -m tests.test_golden

makes the picture anew, which is right only after the weights have changed.
"""

from __future__ import annotations

from torch import Tensor

from adain_core.images.files import read_picture, write_picture
from adain_core.images.pictures import Picture, scale_short_side
from adain_core.pipeline.transfer import StyleTransfer
from tests.helpers import ROOT

GOLDEN = ROOT / "tests" / "golden.png"
EXAMPLES = ROOT / "workflows" / "examples"


def stylized() -> Tensor:
    content, style = (
        scale_short_side(read_picture(EXAMPLES / name).rgb, 160) for name in ("photo_astronaut.jpg", "style_flow.jpg")
    )
    return StyleTransfer.from_pretrained("lite", device="cpu", dtype="float32")(content, style)


def test_the_embedded_model_stylizes_as_it_did() -> None:
    difference = (stylized() - read_picture(GOLDEN).rgb).abs()
    assert difference.mean() < 0.5 / 255
    assert difference.max() < 8 / 255


if __name__ == "__main__":
    write_picture(Picture(stylized()), GOLDEN)
