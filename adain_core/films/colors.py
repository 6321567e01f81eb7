"""Frames of films and tensors: colors go back into a film as they came out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    import av

# Numbers of ITU-T H.273, which FFmpeg uses, too.
_RGB, _BT709, _UNSPECIFIED, _BT601 = 0, 1, 2, 6
_HDR = {16: "PQ", 18: "HLG"}
# The weights of red and blue in luma, by the number of the matrix: BT.709, FCC, both BT.601, SMPTE 240M, BT.2020.
_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
_LIMITED, _FULL = 1, 2
# Black, and the steps to white and between the extremes of chroma.
_STEPS = {_LIMITED: (16, 219, 224), _FULL: (0, 255, 255)}
# Players take films that do not say for BT.709 from this size on.
_HD_WIDTH, _SD_HEIGHT = 1280, 576


class FilmError(ValueError):
    """A film cannot be read or written; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Colors:
    """How a film's numbers mean colors (ITU-T H.273): the matrix from R'G'B' to Y'CbCr, its range, the primaries and
    the transfer characteristics. Frames are R'G'B' of whatever primaries and transfer the film has."""

    matrix: int
    range: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, video: av.VideoStream) -> Colors:
        """Those of a film; where it does not say, what players assume.

        Raises:
            FilmError: the film has a high dynamic range, or a matrix that FFmpeg cannot convert.
        """
        context = video.codec_context
        matrix, primaries, transfer = context.colorspace, context.color_primaries, context.color_trc
        if transfer in _HDR:
            raise FilmError(
                f"The film has a high dynamic range ({_HDR[transfer]}), which results cannot hold; convert it to BT.709"
                " first, as players and editors do."
            )
        pixels = context.format
        if matrix == _RGB or (pixels and pixels.is_rgb):
            return cls(_BT709, _LIMITED, _BT709, _BT709)
        if matrix == _UNSPECIFIED:
            matrix = _BT709 if context.width >= _HD_WIDTH or context.height > _SD_HEIGHT else _BT601
        if matrix not in _LUMA:
            raise FilmError(f"The film has the rare color matrix {matrix} of ITU-T H.273; convert it to BT.709 first.")
        full = context.color_range == _FULL or (pixels and pixels.name.startswith("yuvj"))
        return cls(matrix, _FULL if full else _LIMITED, primaries, transfer)

    def to_tensor(self, frame: av.VideoFrame) -> Tensor:
        """A frame upright as [1, 3, H, W] in 0..1."""
        if frame.format.is_rgb:
            rgb = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1).float() / 255
        else:
            # The same numbers with chroma for each pixel: FFmpeg's conversions of colors differ between versions.
            pixels = "yuvj444p" if frame.format.name.startswith("yuvj") else "yuv444p"
            rgb = self._rgb(torch.from_numpy(frame.reformat(format=pixels).to_ndarray()).float())
        # Degrees counterclockwise by which a player turns the frame.
        return torch.rot90(rgb[None], round(frame.rotation / 90), (2, 3))

    def to_frame(self, picture: Tensor) -> av.VideoFrame:
        """A picture [1, 3, H, W] in 4:2:0, with the last row or column doubled where a side is odd."""
        import av

        height, width = picture.shape[-2:]
        even = F.pad(picture.float(), (0, width % 2, 0, height % 2), mode="replicate")
        levels = self._levels(even[0].clamp(0, 1)).round().clamp(0, 255).byte().cpu().numpy()
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), format="yuv444p")
        return frame.reformat(format="yuv420p")

    def _rgb(self, levels: Tensor) -> Tensor:
        """Y'CbCr [3, H, W] in 0..255 as R'G'B' in 0..1 (ITU-R BT.709, 3)."""
        of_red, of_blue = _LUMA[self.matrix]
        start, luma_steps, chroma_steps = _STEPS[self.range]
        luma, (from_blue, from_red) = (levels[0] - start) / luma_steps, (levels[1:] - 128) / chroma_steps
        red, blue = luma + 2 * (1 - of_red) * from_red, luma + 2 * (1 - of_blue) * from_blue
        green = (luma - of_red * red - of_blue * blue) / (1 - of_red - of_blue)
        return torch.stack([red, green, blue]).clamp(0, 1)

    def _levels(self, rgb: Tensor) -> Tensor:
        """The inverse of :meth:`_rgb`, not rounded."""
        of_red, of_blue = _LUMA[self.matrix]
        start, luma_steps, chroma_steps = _STEPS[self.range]
        red, green, blue = rgb
        luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
        chroma = (blue - luma) / (2 - 2 * of_blue), (red - luma) / (2 - 2 * of_red)
        return torch.stack([start + luma_steps * luma, *(128 + chroma_steps * part for part in chroma)])

    def tag(self, context: av.VideoCodecContext) -> None:
        """Say in a result what its numbers mean."""
        context.colorspace, context.color_range = self.matrix, self.range
        context.color_primaries, context.color_trc = self.primaries, self.transfer
