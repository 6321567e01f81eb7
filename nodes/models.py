"""Choosing, loading and caching models."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import folder_paths
import torch
from comfy import model_management
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ..adain_core.device import DTYPES, resolve_dtype
from ..adain_core.weights import embedded_models, load_model, resolve
from .progress import interrupt_between_layers
from .types import AdaINModel, Model, Networks

FOLDER = "adain"
OWN_DECODER = "the model's own"
PRECISIONS = ["auto", *DTYPES]


def register_folder(name: str) -> None:
    """Make ComfyUI list the .safetensors files of ``models/<name>``."""
    folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name), is_default=True)
    paths, _ = folder_paths.folder_names_and_paths[name]
    folder_paths.folder_names_and_paths[name] = (paths, {".safetensors"})


def model_names() -> list[str]:
    """The embedded models and the files in ``models/adain``."""
    return [*embedded_models(), *folder_paths.get_filename_list(FOLDER)]


def model_path(name: str, what: str) -> Path:
    """The file of a name that the loader lists; nothing else is ever opened.

    Args:
        name: what the user chose.
        what: the node's input, for the error.

    Raises:
        ValueError: the name is not listed.
    """
    if name in embedded_models():
        return resolve(name)
    if name not in folder_paths.get_filename_list(FOLDER):
        raise ValueError(
            f"'{what}' is '{name}', which is not there. Expected one of: {', '.join(model_names())}. Files belong into"
            f" {folder_paths.get_folder_paths(FOLDER)[0]}; press R to see new ones."
        )
    return Path(folder_paths.get_full_path_or_raise(FOLDER, name))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, computed again only when the file was touched."""
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _digest(path: Path, modified: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=4)
def _load(name: str, files: tuple[tuple[Path, str], ...], dtype: torch.dtype) -> Model:
    """A model by the contents of its files: the cache notices a file that was replaced."""
    weights = load_model(*(path for path, _ in files))
    networks = Networks(weights.encoder.compute_in(dtype), weights.decoder.to(dtype))
    interrupt_between_layers(networks)
    patcher = ModelPatcher(networks, model_management.get_torch_device(), model_management.unet_offload_device())
    return Model(name, weights.space, dtype, patcher)


def _dtype(precision: str) -> torch.dtype:
    """``auto`` is ComfyUI's own judgement of a graphics card; of CPUs, where it always says no, it is adain_core's."""
    device = model_management.get_torch_device()
    if precision == "auto" and not model_management.is_device_cpu(device):
        return torch.bfloat16 if model_management.should_use_bf16(device) else torch.float32
    return resolve_dtype(precision, device)


def _files(model: str, decoder: str) -> tuple[tuple[Path, str], ...]:
    paths = [model_path(model, "model")]
    if decoder != OWN_DECODER:
        paths.append(model_path(decoder, "decoder"))
    return tuple((path, file_digest(path)) for path in paths)


class AdaINModelLoader(io.ComfyNode):
    """The model that every other node needs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = model_names()
        return io.Schema(
            node_id="AdaINModelLoader",
            display_name="Load AdaIN Model",
            category="AdaIN",
            description="Loads an encoder and a decoder for style transfer: an embedded model or a .safetensors file in"
            " models/adain.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=names,
                    tooltip="An embedded model (works offline), or a .safetensors file in ComfyUI's models/adain"
                    " folder. A file with a decoder alone finds its encoder beside it. Press R after adding files.",
                ),
                io.Combo.Input(
                    "decoder",
                    options=[OWN_DECODER, *names],
                    default=OWN_DECODER,
                    tooltip="Another decoder for the model's encoder: plain, or with skip connections, which keep more"
                    " of the content's detail. It must belong to the same space.",
                ),
                io.Combo.Input(
                    "precision",
                    options=PRECISIONS,
                    default="auto",
                    tooltip="Number format of the convolutions. auto is bfloat16 where the hardware computes in it"
                    " natively, else float32. Statistics are always in float32.",
                ),
            ],
            outputs=[
                AdaINModel.Output(display_name="model", tooltip="Encoder and decoder, for the other AdaIN nodes.")
            ],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None, decoder: str | None = None) -> bool | str:
        try:
            for name, what in ((model, "model"), (decoder, "decoder")):
                if name not in (None, OWN_DECODER):
                    model_path(name, what)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, model: str, decoder: str, **_: object) -> list[str]:
        return [digest for _, digest in _files(model, decoder)]

    @classmethod
    def execute(cls, model: str, decoder: str, precision: str) -> io.NodeOutput:
        return io.NodeOutput(_load(model, _files(model, decoder), _dtype(precision)))
