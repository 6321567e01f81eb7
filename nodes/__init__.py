"""The nodes: thin translations of adain_core into ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io
from server import PromptServer

from .color import AdaINPreserveColor
from .compare import AdaINMeasure, AdaINStyleGrid
from .gatys import AdaINGatys, AdaINTextureSynthesis
from .library import AdaINLoadStyle, AdaINSaveStyle, register_styles
from .models import FOLDER, AdaINModelLoader, register_folder
from .regions import AdaINRegion
from .steps import AdaINBlend, AdaINComputeStyleStats, AdaINDecode, AdaINEncode, AdaINMixStyles
from .stylize import AdaINStylize
from .thumbnails import thumbnail
from .video import AdaINStylizeFilm, AdaINStylizeVideo

NODES: list[type[io.ComfyNode]] = [
    AdaINModelLoader,
    AdaINEncode,
    AdaINComputeStyleStats,
    AdaINMixStyles,
    AdaINBlend,
    AdaINDecode,
    AdaINStylize,
    AdaINRegion,
    AdaINSaveStyle,
    AdaINLoadStyle,
    AdaINPreserveColor,
    AdaINStylizeFilm,
    AdaINStylizeVideo,
    AdaINGatys,
    AdaINTextureSynthesis,
    AdaINStyleGrid,
    AdaINMeasure,
]


class AdaINExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> AdaINExtension:
    register_folder(FOLDER)
    register_styles()
    if server := getattr(PromptServer, "instance", None):
        server.routes.get("/adain/thumbnail")(thumbnail)
    return AdaINExtension()
