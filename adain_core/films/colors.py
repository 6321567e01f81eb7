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
# What swscale converts, as it calls them: both BT.601 are one.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
_LIMITED, _FULL = 1, 2
# swscale's bilinear chroma, interpolated for each pixel and rounded exactly; otherwise luma is up to two levels off.
_EXACT = 2 | 1 << 13 | 1 << 18
# Players take films that do not say for BT.709 from this size on.
_HD_WIDTH, _SD_HEIGHT = 1280, 576


class VideoError(ValueError):
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
            VideoError: the film has a high dynamic range, or a matrix that FFmpeg cannot convert.
        """
        context = video.codec_context
        matrix, primaries, transfer = context.colorspace, context.color_primaries, context.color_trc
        if transfer in _HDR:
            raise VideoError(
                f"The film has a high dynamic range ({_HDR[transfer]}), which results cannot hold; convert it to BT.709"
                " first, as players and editors do."
            )
        pixels = context.format
        if matrix == _RGB or (pixels and pixels.is_rgb):
            return cls(_BT709, _LIMITED, _BT709, _BT709)
        if matrix == _UNSPECIFIED:
            matrix = _BT709 if context.width >= _HD_WIDTH or context.height > _SD_HEIGHT else _BT601
        if matrix not in _MATRICES:
            raise VideoError(f"The film has the rare color matrix {matrix} of ITU-T H.273; convert it to BT.709 first.")
        full = context.color_range == _FULL or (pixels and pixels.name.startswith("yuvj"))
        return cls(matrix, _FULL if full else _LIMITED, primaries, transfer)

    def to_tensor(self, frame: av.VideoFrame) -> Tensor:
        """A frame upright as [1, 3, H, W] in 0..1."""
        matrix, numbers = (None, None) if frame.format.is_rgb else (_MATRICES[self.matrix], self.range)
        rgb = frame.reformat(
            format="rgb24",
            src_colorspace=matrix,
            src_color_range=numbers,
            dst_color_range=_FULL,
            interpolation=_EXACT,
        )
        pixels = torch.from_numpy(rgb.to_ndarray())
        # Degrees counterclockwise by which a player turns the frame.
        return torch.rot90(pixels.permute(2, 0, 1)[None], round(frame.rotation / 90), (2, 3)).float() / 255

    def to_frame(self, picture: Tensor) -> av.VideoFrame:
        """A picture [1, 3, H, W] in 4:2:0, with the last row or column doubled where a side is odd."""
        import av

        height, width = picture.shape[-2:]
        even = F.pad(picture.float(), (0, width % 2, 0, height % 2), mode="replicate")
        pixels = even[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        return frame.reformat(
            format="yuv420p",
            src_color_range=_FULL,
            dst_colorspace=_MATRICES[self.matrix],
            dst_color_range=self.range,
            interpolation=_EXACT,
        )

    def tag(self, context: av.VideoCodecContext) -> None:
        """Say in a result what its numbers mean."""
        context.colorspace, context.color_range = self.matrix, self.range
        context.color_primaries, context.color_trc = self.primaries, self.transfer
