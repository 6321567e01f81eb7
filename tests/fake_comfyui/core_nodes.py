"""The core nodes that the workflows use, with the inputs of ComfyUI's own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import folder_paths
import numpy as np
import torch
import torch.nn.functional as F
from comfy_api.latest import Input, InputImpl, Types, io, ui
from PIL import Image, ImageOps, ImageSequence
from torch import Tensor

_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]


def _files() -> list[str]:
    return sorted(path.name for path in Path(folder_paths.get_input_directory()).iterdir() if path.is_file())


def _resized(image: Tensor, height: int, width: int, method: str) -> Tensor:
    mode = {"lanczos": "bicubic"}.get(method, method)
    return F.interpolate(image.movedim(-1, 1), (height, width), mode=mode).movedim(1, -1)


class LoadImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "LoadImage",
            inputs=[io.Combo.Input("image", options=_files())],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        pictures, masks = [], []
        with Image.open(Path(folder_paths.get_input_directory()) / image) as file:
            for frame in ImageSequence.Iterator(file):
                frame = ImageOps.exif_transpose(frame)
                pictures.append(torch.from_numpy(np.array(frame.convert("RGB"), np.float32) / 255))
                if "A" in frame.getbands():
                    masks.append(1 - torch.from_numpy(np.array(frame.getchannel("A"), np.float32) / 255))
                else:
                    masks.append(torch.zeros(64, 64))
        return io.NodeOutput(torch.stack(pictures), torch.stack(masks))


class LoadImageMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "LoadImageMask",
            inputs=[
                io.Combo.Input("image", options=_files()),
                io.Combo.Input("channel", options=["alpha", "red", "green", "blue"]),
            ],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, image: str, channel: str) -> io.NodeOutput:
        with Image.open(Path(folder_paths.get_input_directory()) / image) as file:
            plane = torch.from_numpy(np.array(file.convert("RGBA").getchannel(channel[0].upper()), np.float32) / 255)
        return io.NodeOutput((1 - plane if channel == "alpha" else plane)[None])


class ImageScale(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "ImageScale",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("upscale_method", options=_METHODS),
                io.Int.Input("width", default=512, min=0, max=16384, step=1),
                io.Int.Input("height", default=512, min=0, max=16384, step=1),
                io.Combo.Input("crop", options=["disabled", "center"]),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: Tensor, upscale_method: str, width: int, height: int, crop: str) -> io.NodeOutput:
        width = width or round(image.shape[2] * height / image.shape[1])
        height = height or round(image.shape[1] * width / image.shape[2])
        return io.NodeOutput(_resized(image, height, width, upscale_method))


class ImageScaleBy(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "ImageScaleBy",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("upscale_method", options=_METHODS),
                io.Float.Input("scale_by", default=1.0, min=0.01, max=8.0, step=0.01),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: Tensor, upscale_method: str, scale_by: float) -> io.NodeOutput:
        height, width = (round(side * scale_by) for side in image.shape[1:3])
        return io.NodeOutput(_resized(image, height, width, upscale_method))


class InvertMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema("InvertMask", inputs=[io.Mask.Input("mask")], outputs=[io.Mask.Output()])

    @classmethod
    def execute(cls, mask: Tensor) -> io.NodeOutput:
        return io.NodeOutput(1 - mask)


class PreviewImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema("PreviewImage", inputs=[io.Image.Input("images")], is_output_node=True)

    @classmethod
    def execute(cls, images: Tensor) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewImage(images))


class SaveAnimatedWEBP(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "SaveAnimatedWEBP",
            inputs=[
                io.Image.Input("images"),
                io.String.Input("filename_prefix", default="ComfyUI"),
                io.Float.Input("fps", default=6.0, min=0.01, max=1000.0, step=0.01),
                io.Boolean.Input("lossless", default=True),
                io.Int.Input("quality", default=80, min=0, max=100),
                io.Combo.Input("method", options=["default", "fastest", "slowest"]),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images: Tensor, **_: object) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewImage(images, animated=True))


class PreviewAny(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema("PreviewAny", inputs=[io.Custom("*").Input("source")], is_output_node=True)

    @classmethod
    def execute(cls, source: object) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewText(str(source)))


class LoadVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "LoadVideo",
            inputs=[io.Combo.Input("file", options=_files())],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(InputImpl.VideoFromFile(str(Path(folder_paths.get_input_directory()) / file)))


class SaveVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "SaveVideo",
            inputs=[
                io.Video.Input("video"),
                io.String.Input("filename_prefix", default="video/ComfyUI"),
                io.Combo.Input("format", options=["auto", "mp4"]),
                io.Combo.Input("codec", options=["auto", "h264"]),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, video: Input.Video, **_: object) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewImage(video.get_components().images, animated=True))


class CreateVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "CreateVideo",
            inputs=[
                io.Image.Input("images"),
                io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=1.0),
                io.Custom("AUDIO").Input("audio", optional=True),
            ],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, images: Tensor, fps: float, audio: dict | None = None) -> io.NodeOutput:
        components = Types.VideoComponents(images=images, audio=audio, frame_rate=Fraction(fps))
        return io.NodeOutput(InputImpl.VideoFromComponents(components))


class GetVideoComponents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            "GetVideoComponents",
            inputs=[io.Video.Input("video")],
            outputs=[io.Image.Output(), io.Custom("AUDIO").Output(), io.Float.Output()],
        )

    @classmethod
    def execute(cls, video: Input.Video) -> io.NodeOutput:
        components = video.get_components()
        return io.NodeOutput(components.images, components.audio, float(components.frame_rate))


NODES: list[type[io.ComfyNode]] = [
    LoadImage,
    LoadImageMask,
    LoadVideo,
    SaveVideo,
    ImageScale,
    ImageScaleBy,
    InvertMask,
    PreviewImage,
    SaveAnimatedWEBP,
    PreviewAny,
    CreateVideo,
    GetVideoComponents,
]
