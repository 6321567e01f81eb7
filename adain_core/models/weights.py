"""Weights files: what they say of themselves, how they are read, written and found.

A model is named by a path, by a name (a file in the folder of ADAIN_MODELS, an embedded file, or an encoder that
everyone knows, from the Hub), or by its address on the Hub, ``hf://owner/repo/file.safetensors@revision``.

Every file is a .safetensors with metadata: the format's version, the kind (encoder, decoder or model), the *space*
that its features belong to, the widths, the kind of skips, whether a decoder has its one style inside, the license and
a summary of the training. Encoders and decoders fit together if and only if their spaces are equal.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..networks.decoder import Decoder
from ..networks.encoder import Encoder
from ..networks.skips import Skips
from ..runtime.environment import models_folder
from ..runtime.files import FLOATS, FORMAT, MAX_BYTES, log_passed_over, write_tensors
from ..runtime.progress import Progress, ignore_progress
from .addresses import SCHEME, HubError, HubFile, cache_folder
from .convert import find_networks, in_current_layout
from .errors import WeightsError
from .hub import download, hash_of
from .presets import PRESETS, VGG19_NORMALIZED, VGG19_TORCHVISION
from .spaces import check_space, space_of

EMBEDDED = Path(__file__).parent / "embedded"
EMBEDDED_STYLES = EMBEDDED / "styles"

# The first digits of the SHA-256 of vgg19-dcbb9e9d.pth and of the same weights as timm has them.
_TORCHVISION_FILES = ("dcbb9e9d", "11aea017")
MAX_WIDTH = 4096

_log = logging.getLogger(__name__)
Network = TypeVar("Network", Encoder, Decoder)


@dataclass(frozen=True)
class Weights:
    """One weights file in memory: an encoder, a decoder or both, in float32."""

    space: str
    encoder: Encoder | None = None
    decoder: Decoder | None = None
    info: dict[str, str] = field(default_factory=dict)
    path: Path | None = None

    @property
    def kind(self) -> str:
        """``model``, ``encoder`` or ``decoder``, as in the file's metadata."""
        return "model" if self.encoder and self.decoder else "encoder" if self.encoder else "decoder"


@dataclass(frozen=True)
class ModelWeights(Weights):
    """An encoder and a decoder that fit together.

    Raises:
        WeightsError: the decoder reads features of other widths.
    """

    encoder: Encoder
    decoder: Decoder

    def __post_init__(self) -> None:
        mine, other = (", ".join(map(str, network.widths[:4])) for network in (self.decoder, self.encoder))
        if mine != other:
            raise WeightsError(
                f"The decoder of {self.path} is for an encoder of the widths {mine}, but that of the space {self.space}"
                f" has {other}; it belongs to another space, which 'adain convert --space' can name."
            )


def load_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a weights file of this package, or a pytorch-AdaIN network that someone saved as .safetensors.

    Raises:
        WeightsError: the file is missing, damaged, of an unknown layout, or its tensors are not those that its
            metadata announces.
    """
    path = Path(path)
    metadata, tensors = _read(path)
    ours = metadata.get("format") == FORMAT
    return _from_metadata(path, metadata, tensors) if ours else from_checkpoint(tensors, path)


def from_checkpoint(
    tensors: Mapping[str, Tensor], path: Path, space: str | None = None, skips: Skips | None = None
) -> Weights:
    """The networks of somebody else's checkpoint, in a layout that :mod:`adain_core.models.convert` knows.

    Args:
        tensors: of the checkpoint.
        path: where they come from.
        space: of a decoder; by default that of the encoder in the checkpoint, or the normalized VGG-19.
        skips: that a decoder was trained with, where the shapes do not tell.

    Raises:
        WeightsError: the layout is unknown, or the tensors do not fit.
    """
    found = find_networks(tensors)
    networks = {network.layout.part: network for network in found}
    if not networks or len(networks) < len(found):
        raise WeightsError(
            f"{path} is no weights file of this package and holds {len(found)} networks in known layouts; expected an"
            " encoder, a decoder or both, of pytorch-AdaIN, of torchvision's VGG-19 or of the study's repository."
        )
    encoder = decoder = None
    if "encoder" in networks:
        encoder = build(*networks["encoder"].encoder(), path)
        original = networks["encoder"].layout.color is None and hash_of(path).startswith(_TORCHVISION_FILES)
        space = VGG19_TORCHVISION if original else space_of(path.stem, encoder)
    if "decoder" in networks:
        try:
            module, state = networks["decoder"].decoder(skips)
        except ValueError as error:
            raise WeightsError(f"{path}: {error}") from error
        decoder = build(module, state, path)
    return Weights(space or VGG19_NORMALIZED, encoder, decoder, path=path)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{path} has {path.stat().st_size} bytes; expected weights of at most {MAX_BYTES}.")
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        hint = "" if path.suffix == ".safetensors" else " Other checkpoints are for 'adain convert'."
        raise WeightsError(f"{path} is not a readable .safetensors file: {error}.{hint}") from error
    except TypeError as error:
        raise WeightsError(f"{path} is damaged: a tensor has a side that none can have.") from error


def _from_metadata(path: Path, metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Weights:
    kind, space = metadata.get("kind"), metadata.get("space", "")
    if kind not in ("model", "encoder", "decoder"):
        raise WeightsError(f"{path} is of the kind {kind!r}, not an encoder, a decoder or a model.")
    try:
        widths = [int(width) for width in metadata["widths"].split(",")]
        skips = Skips.parse(metadata.get("decoder", "plain"), float(metadata.get("skip_strength", "1")))
        if not space:
            raise ValueError("it names no space")
        if not (4 <= len(widths) <= 5 and all(0 < width <= MAX_WIDTH for width in widths)):
            raise ValueError(f"widths {widths}")
        with torch.device("meta"):
            encoder = Encoder(widths) if kind != "decoder" else None
            decoder = Decoder(widths[:4], skips, metadata.get("style") == "inside") if kind != "encoder" else None
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} has damaged metadata: {str(error).rstrip('.')}.") from error
    prefixes = {"encoder": "encoder.", "decoder": "decoder."} if kind == "model" else {kind: ""}
    states = {
        part: {key.removeprefix(prefix): x for key, x in tensors.items() if key.startswith(prefix)}
        for part, prefix in prefixes.items()
    }
    if encoder:
        build(encoder, states["encoder"], path)
        check_space(space, encoder, path)
    if decoder:
        build(decoder, states["decoder"], path)
    return Weights(space, encoder, decoder, dict(metadata), path)


def build(module: Network, state: Mapping[str, Tensor], path: Path) -> Network:
    """Give a module its weights in float32; nothing is allocated before the shapes are known to fit.

    Raises:
        WeightsError: a weight is missing, unknown, of another shape or type, or not finite, or there are too many.
    """
    if max(module.widths) > MAX_WIDTH:
        raise WeightsError(f"{path} has layers of {max(module.widths)} channels; expected at most {MAX_WIDTH}.")
    state = in_current_layout(module, state)
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            raise WeightsError(f"{path} lacks '{key}', which its kind and widths need.")
        if key not in expected:
            raise WeightsError(f"{path} has '{key}', which its kind and widths do not know.")
        if expected[key] != found[key]:
            raise WeightsError(f"{path}: '{key}' has the shape {found[key]}, expected {expected[key]}.")
        if state[key].dtype not in FLOATS:
            raise WeightsError(f"{path}: '{key}' has numbers of the type {state[key].dtype}, expected floats.")
    floats = {key: value.float() for key, value in state.items()}
    if not all(value.isfinite().all() for value in floats.values()):
        raise WeightsError(f"{path} holds numbers that are not finite.")
    module.load_state_dict(floats, assign=True)
    return module.eval().requires_grad_(False)


def save_weights(weights: Weights, path: str | os.PathLike[str], dtype: torch.dtype = torch.float16) -> None:
    """Write a weights file, atomically. ``weights.info`` may hold license, origin and training.

    Raises:
        OSError: there is no room or no right to write; nothing half-written is left.
    """
    present = {part: module for part in ("encoder", "decoder") if (module := getattr(weights, part))}
    tensors = {
        f"{part}.{key}" if len(present) == 2 else key: value.detach().cpu().to(dtype).contiguous()
        for part, module in present.items()
        for key, value in module.state_dict().items()
    }
    widths = ",".join(map(str, next(iter(present.values())).widths))
    metadata = {**weights.info, "kind": weights.kind, "space": weights.space, "widths": widths}
    if weights.decoder:
        metadata["decoder"] = str(weights.decoder.skips)
        metadata["skip_strength"] = str(weights.decoder.skips.strength)
        if weights.decoder.style_inside:
            metadata["style"] = "inside"
    write_tensors(Path(path), tensors, metadata)


def embedded_models() -> list[str]:
    """Names of the weights files that the package brings along."""
    return _names(EMBEDDED)


def load_encoder(model: str | os.PathLike[str] = "lite", progress: Progress = ignore_progress) -> tuple[Encoder, str]:
    """An encoder, for what needs no decoder, and its space.

    Args:
        model: as for :func:`load_model`; a file may hold the encoder alone.
        progress: called with the share of a download that is done.

    Raises:
        WeightsError: it is not found.
    """
    encoder, weights = load_for_measuring(model, progress)
    return encoder, weights.space


def load_for_measuring(
    model: str | os.PathLike[str] = "lite", progress: Progress = ignore_progress
) -> tuple[Encoder, Weights]:
    """As :func:`load_encoder`, with all that the file says: the kind of its decoder tells what is to be measured.

    Raises:
        WeightsError: it is not found.
    """
    path = resolve(model, progress)
    weights = _load(path)
    return weights.encoder or find_encoder(weights.space, [path.parent], progress), weights


def load_model(
    model: str | os.PathLike[str] = "lite",
    decoder: str | os.PathLike[str] | None = None,
    folders: Iterable[Path] = (),
    progress: Progress = ignore_progress,
) -> ModelWeights:
    """An encoder and a decoder that fit together.

    Args:
        model: the name of an embedded model, a .safetensors file, or a folder that holds an encoder and a decoder. A
            decoder alone brings the encoder of its space.
        decoder: another decoder for the model's encoder: a name or a file.
        folders: where to look for the encoder of a decoder alone, besides the folder that this is in.
        progress: called with the share of each download that is done.

    Raises:
        WeightsError: something is not found, or the spaces differ.
    """
    path = resolve(model, progress)
    weights = _load(path)
    if decoder is not None:
        other = load_weights(resolve(decoder, progress))
        if other.decoder is None:
            raise WeightsError(f"{other.path} holds no decoder.")
        _check_same_space(weights, other)
        weights = replace(weights, decoder=other.decoder, info={**weights.info, **other.info})
    if weights.decoder is None:
        raise WeightsError(f"{path} holds no decoder; name one for the space {weights.space}.")
    encoder = weights.encoder or find_encoder(weights.space, [path.parent, *folders], progress)
    return ModelWeights(weights.space, encoder, weights.decoder, weights.info, weights.path)


def _load(path: Path) -> Weights:
    """A weights file, or the one encoder and the one decoder of a folder."""
    if not path.is_dir():
        return load_weights(path)
    found = [load_weights(file) for file in sorted(path.glob("*.safetensors"))]
    encoders, decoders = [w for w in found if w.encoder], [w for w in found if w.decoder]
    if len(encoders) != 1 or len(decoders) != 1:
        raise WeightsError(
            f"{path} holds {len(encoders)} encoders and {len(decoders)} decoders; expected one of each, or"
            " name a file in it."
        )
    _check_same_space(encoders[0], decoders[0])
    return replace(decoders[0], encoder=encoders[0].encoder)


def _check_same_space(encoder: Weights, decoder: Weights) -> None:
    if encoder.space != decoder.space:
        raise WeightsError(
            f"{decoder.path} decodes the space {decoder.space}, but {encoder.path} is in the space {encoder.space};"
            f" use a decoder for {encoder.space}, or the encoder of {decoder.space}."
        )


def resolve(name: str | os.PathLike[str], progress: Progress = ignore_progress) -> Path:
    """The file or folder of a model.

    Args:
        name: a path; or without folder and suffix the name of a file in :func:`models_folder`, of an embedded file or
            of a preset; or an address on the Hub. A preset and an address may need a download.
        progress: called with the share of a download that is done.

    Raises:
        WeightsError: there is no such thing; the message lists the names that exist.
    """
    text = os.fspath(name)
    if text.startswith(SCHEME):
        return download(HubFile.parse(text), progress=progress)
    for folder in _own_folders():
        if text in _names(folder):
            return folder / f"{text}.safetensors"
    if text in PRESETS:
        return fetch_preset(text, progress)
    path = Path(name)
    if not text or not path.exists():  # for Path an empty text is the current folder
        known = [*(name for folder in _own_folders() for name in _names(folder)), *PRESETS]
        raise WeightsError(
            f"There is no model '{name}': it is no file or folder, no address {SCHEME}owner/repo/file.safetensors, and"
            f" none of the models {', '.join(known)}."
        )
    return path


def _own_folders() -> list[Path]:
    return [folder for folder in (models_folder(), EMBEDDED) if folder]


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.safetensors"))


def fetch_preset(name: str, progress: Progress = ignore_progress) -> Path:
    """The file of one of the PRESETS; made from the Hub's when it is asked for first.

    Args:
        name: a key of it.
        progress: called with the share of a download that is done.

    Raises:
        HubError: it cannot be had.
    """
    preset = PRESETS[name]
    path = cache_folder() / f"{name}.safetensors"
    if not path.exists():
        encoder, state = preset.fetch(progress).encoder(preset.blocks)
        info = {"license": preset.license, "origin": f"{preset.origin}; {preset.sources[0]}"}
        check_space(preset.space, build(encoder, state, path), path)
        weights = Weights(preset.space, encoder, info=info)
        try:
            save_weights(weights, path, torch.float32)
        except OSError as error:
            raise HubError(f"{name} cannot be kept: {error}. HF_HOME names another place.") from error
    return path


def find_encoder(space: str, folders: Iterable[Path], progress: Progress = ignore_progress) -> Encoder:
    """The encoder of a space among the weights files of some folders, the embedded ones and the presets.

    Raises:
        WeightsError: none of the files holds it.
    """
    for folder in (*folders, *_own_folders()):
        for path in sorted(folder.glob("*.safetensors")):
            try:
                weights = load_weights(path)
            except WeightsError as error:
                log_passed_over(str(error))
                continue
            if weights.encoder and weights.space == space:
                return weights.encoder
    beside = f"put the .safetensors file of the encoder of {space} beside the decoder"
    if space not in PRESETS:
        raise WeightsError(f"No encoder of the space {space} was found; {beside}.")
    _log.info("The encoder of %s is not among the files here; it is one that the Hub has.", space)
    try:
        path = fetch_preset(space, progress)
    except HubError as error:
        raise HubError(f"{error} Or {beside}.") from error
    encoder = load_weights(path).encoder
    if encoder is None:
        raise WeightsError(f"{path} holds no encoder; remove it to fetch it again.")
    return encoder
