"""ComfyUI's door to the AdaIN nodes."""

import importlib.util

WEB_DIRECTORY = "./web"

# Outside ComfyUI (a test runner that imports this file, say) there are no nodes to offer; inside, nothing is hidden.
if __package__ and importlib.util.find_spec("comfy_api"):
    from .nodes import comfy_entrypoint as comfy_entrypoint
