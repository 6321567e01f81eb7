"""What a real ComfyUI's V3 API takes, for ``tests/fake_comfyui/api.json``.

    PYTHON_OF_COMFYUI tests/comfyui/record_api.py COMFYUI_FOLDER

prints the fields of ``io.Schema`` and the arguments of the inputs that the fake knows.
"""

import inspect
import json
import sys
from dataclasses import fields

INPUTS = ("Boolean", "Int", "Float", "String", "Combo", "Image", "Mask", "MultiType")


def main(folder: str) -> None:
    sys.argv = sys.argv[:1]  # ComfyUI reads the command line when it is imported
    sys.path.insert(0, folder)
    from comfy_api.latest import io
    from comfyui_version import __version__

    inputs = {name: sorted({*inspect.signature(getattr(io, name).Input).parameters} - {"id"}) for name in INPUTS}
    schema = sorted(field.name for field in fields(io.Schema))
    print(json.dumps({__version__: {"schema": schema, "inputs": inputs}}))


if __name__ == "__main__":
    main(sys.argv[1])
