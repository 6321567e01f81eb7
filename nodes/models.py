"""Choosing, loading and caching models."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import folder_paths
import torch
from comfy import model_management
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ..adain_core.models.addresses import HubError, HubFile
from ..adain_core.models.hub import download, hash_of
from ..adain_core.models.presets import PRESETS
from ..adain_core.models.transfers import consent
from ..adain_core.models.weights import EMBEDDED, embedded_models, fetch_preset, load_model, load_weights
from ..adain_core.options import ModelOptions
from ..adain_core.pipeline.analyzer import StyleAnalyzer, laid_out
from ..adain_core.pipeline.transfer import StyleTransfer
from ..adain_core.runtime.device import resolve_dtype
from ..adain_core.runtime.progress import Progress, ignore_progress
from ..adain_core.runtime.tables import options_of
from .inputs import check_choices, input_for
from .progress import NodeProgress, interrupt_between_layers
from .schema import node_schema
from .types import AdaINModel, Held, Model

FOLDER = "adain"
CONSENT = "allow_downloads"
"""A file of this name in the folder is the user's consent to downloads."""
_OPTIONS = options_of(ModelOptions)
MODEL_TOOLTIP = f"From Load AdaIN Model; without one, the embedded model {_OPTIONS['model'].default}."
OWN_DECODER = _OPTIONS["decoder"].unset
_MOST_LOADED = 4
_loaded: dict[tuple[object, ...], Model] = {}


def register_folder(name: str) -> None:
    """Make ComfyUI list the .safetensors files of ``models/<name>``."""
    folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name), is_default=True)
    paths, _ = folder_paths.folder_names_and_paths[name]
    folder_paths.folder_names_and_paths[name] = (paths, {".safetensors"})


def model_names(*more: str) -> list[str]:
    """The embedded models, the files in ``models/adain`` and more names, the study's small decoders last."""
    names = [*embedded_models(), *folder_paths.get_filename_list(FOLDER), *more]
    return sorted(names, key=lambda name: name.startswith("study-"))


def hub_names() -> list[str]:
    """The encoders that the Hub has, with the repository and the size of the download."""
    return [
        f"{name} (Hub: {preset.sources[0].repo_id}, {preset.size / 1e6:.0f} MB)" for name, preset in PRESETS.items()
    ]


def hub_preset(name: str) -> str | None:
    """The preset of an entry of :func:`hub_names`. What is in brackets may be left out, and may have changed since a
    workflow was saved."""
    preset = name.partition(" (Hub: ")[0]
    return preset if preset in PRESETS else None


def model_path(name: str, what: str) -> Path:
    """The file of a name that the loader lists; nothing else is ever opened.

    Args:
        name: what the user chose.
        what: the node's input, for the error.

    Raises:
        ValueError: the name is not listed.
    """
    if name in embedded_models():
        return EMBEDDED / f"{name}.safetensors"
    if name not in folder_paths.get_filename_list(FOLDER):
        raise ValueError(
            f"'{what}' is '{name}', which is not there. Expected one of: {', '.join(model_names())}. Files belong into"
            f" ComfyUI's models/{FOLDER}; press R to see new ones."
        )
    return Path(folder_paths.get_full_path_or_raise(FOLDER, name))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, computed again only when the file was touched."""
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _digest(path: Path, modified: int, size: int) -> str:
    return hash_of(path)


def _load(name: str, files: list[Path], dtype: torch.dtype, progress: Progress) -> Model:
    """A model by the contents of its files: a file that was replaced is noticed."""
    key = (name, *files, *map(file_digest, files), dtype)
    model = _loaded.pop(key, None) or _read(name, files, dtype, progress)
    _loaded[key] = model
    if len(_loaded) > _MOST_LOADED:
        del _loaded[next(iter(_loaded))]
    return model


def _read(name: str, files: list[Path], dtype: torch.dtype, progress: Progress) -> Model:
    weights = load_weights(files[0])
    if len(files) > 1 and (other := load_weights(files[1]).space) != weights.space:
        raise ValueError(
            f"Choose a 'decoder' for the space of 'model', or the model's own: 'model' belongs to the space"
            f" {weights.space}, 'decoder' to {other}."
        )
    if len(files) > 1 or weights.decoder:
        weights = load_model(*files, folders=map(Path, folder_paths.get_folder_paths(FOLDER)), progress=progress)
    model: StyleAnalyzer
    if weights.decoder:
        model = StyleTransfer(weights.encoder, weights.decoder, weights.space, dtype=dtype)
    else:
        model = StyleAnalyzer(weights.encoder, weights.space, dtype=dtype)
    interrupt_between_layers(model)
    patcher = ModelPatcher(
        Held(laid_out(model)), model_management.get_torch_device(), model_management.unet_offload_device()
    )
    return Model(name, weights.space, patcher)


def _dtype(precision: str) -> torch.dtype:
    """``auto`` is ComfyUI's own judgment of a graphics card; of CPUs, where it always says no, it is adain_core's."""
    device = model_management.get_torch_device()
    if precision == "auto" and not model_management.is_device_cpu(device):
        return torch.bfloat16 if model_management.should_use_bf16(device) else torch.float32
    return resolve_dtype(precision, device)


def _model_file(model: str, hub_address: str, progress: Progress) -> Path:
    """The file of what the user chose, downloaded if it has to be."""
    if hub_address:
        return download(HubFile.parse(hub_address), progress=progress)
    preset = hub_preset(model)
    return fetch_preset(preset, progress) if preset else model_path(model, "model")


def default_model(progress: Progress = ignore_progress) -> Model:
    """What nodes use to which no model is connected: the embedded default, as the loader would load it."""
    name = _OPTIONS["model"].default
    return _load(name, [model_path(name, "model")], _dtype(_OPTIONS["dtype"].default), progress)


class AdaINModelLoader(io.ComfyNode):
    """The model that the other nodes work with."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = model_names()
        return node_schema(
            "AdaINModelLoader",
            "Load AdaIN Model",
            advanced=("precision", "hub_address"),
            aliases=["style transfer model", "adain loader", "vgg19", "decoder", "neural style model"],
            description="Loads an encoder and a decoder for style transfer: an embedded model, a .safetensors file in"
            " models/adain, or one from the Hugging Face Hub.",
            inputs=[
                input_for(
                    "model",
                    replace(_OPTIONS["model"], choices=tuple(model_names(*hub_names()))),
                    "Files belong into ComfyUI's models/adain folder; press R after adding some.",
                ),
                input_for(
                    "decoder",
                    replace(_OPTIONS["decoder"], default=OWN_DECODER, choices=(OWN_DECODER, *names), unset=""),
                ),
                input_for("precision", _OPTIONS["dtype"]),
                input_for(
                    "hub_address",
                    _OPTIONS["hub_address"],
                    f"Downloads need your consent: a file models/{FOLDER}/{CONSENT}, or ADAIN_ALLOW_DOWNLOADS=1 in the"
                    " environment.",
                    optional=True,
                ),
            ],
            outputs=[
                AdaINModel.Output(display_name="model", tooltip="Encoder and decoder, for the other AdaIN nodes.")
            ],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None) -> bool | str:
        # What is in the brackets of a preset may have changed since a workflow was saved.
        if model is None or hub_preset(model):
            return True
        try:
            return bool(model_path(model, "model"))
        except ValueError as error:
            return str(error)

    @classmethod
    def fingerprint_inputs(
        cls, model: str | None = None, decoder: str | None = None, hub_address: str | None = None, **_: object
    ) -> list[str]:
        # Asking the Hub has no place here: what it has under one name counts as the same until ComfyUI starts anew.
        # None is something connected, for which ComfyUI itself knows whether it changed.
        source = (hub_address or "").strip() or (model and hub_preset(model))
        names = {"model": None if source else model, "decoder": None if decoder == OWN_DECODER else decoder}
        digests = [file_digest(model_path(name, what)) for what, name in names.items() if name is not None]
        return [source, *digests] if source else digests

    @classmethod
    def execute(cls, model: str, decoder: str, precision: str, hub_address: str = "") -> io.NodeOutput:
        check_choices(cls, decoder=decoder, precision=precision)
        hub_address = hub_address.strip()
        progress = NodeProgress()
        folder = Path(folder_paths.get_folder_paths(FOLDER)[0])
        try:
            # A workflow, which may come from anybody, says what to load: not that it may be downloaded.
            with consent(folder / CONSENT):
                name = hub_address or hub_preset(model) or model
                files = [_model_file(model, hub_address, progress)]
                if decoder != OWN_DECODER:
                    name = f"{name} + {decoder}"
                    files.append(model_path(decoder, "decoder"))
                loaded = _load(name, files, _dtype(precision), progress)
        except HubError as error:
            raise HubError(f"{error} Files that you download by hand belong into {folder}.") from error
        progress(1.0)
        return io.NodeOutput(loaded)
