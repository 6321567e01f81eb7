"""From a recipe to networks, and from networks to the result's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from adain_core.models.presets import VGG19_NORMALIZED, VGG19_TORCHVISION
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, embedded_models, load_encoder, load_weights, resolve, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.networks.skips import Skips

from .command import TrainingError
from .networks import LossNetwork, NormalizedDecoder, Stylizer, initialize, take_over, with_normalized_input
from .normalization import LearnedNormalization
from .recipe import Recipe


def build(
    recipe: Recipe, loss_encoder: Encoder, loss_space: str, style_images: int
) -> tuple[Stylizer, LossNetwork, str]:
    """The network that learns, the loss network, and the space of the encoder as far as it is known before training.

    Args:
        recipe: of the run.
        loss_encoder: the recipe's loss network.
        loss_space: its space.
        style_images: number of images to learn styles from.

    Raises:
        WeightsError: a file is missing or does not fit.
        TrainingError: the teacher of the colors reads other features.
    """
    torch.manual_seed(recipe.seed)
    start = load_weights(resolve(recipe.start)) if recipe.start else None
    if recipe.train_encoder:
        encoder = start.encoder if start and start.encoder else Encoder(recipe.widths)
        if not (start and start.encoder):
            initialize(encoder)
        space = ""
    else:
        same = recipe.encoder == recipe.loss_network
        encoder, space = (loss_encoder, loss_space) if same else load_encoder(recipe.encoder)
    if recipe.normalize_input:
        shared = encoder is loss_encoder
        encoder = with_normalized_input(encoder)
        if not recipe.imitates_only:  # a teacher reads the features of images as they are
            loss_encoder = encoder if shared else with_normalized_input(loss_encoder)
        space = space_of(f"{space}-pre-normalized", encoder)
    kind = NormalizedDecoder if recipe.normalize_input else Decoder
    decoder = kind(encoder.widths[:4], Skips.parse(recipe.decoder, recipe.skip_strength))
    initialize(decoder)
    if start and start.decoder:
        if isinstance(decoder, NormalizedDecoder):
            decoder.take_over(start.decoder)
        else:
            take_over(decoder, start.decoder)
    teacher = load_color_teacher(recipe.color_teacher, loss_space) if recipe.color_teacher else None
    normalization = None
    if recipe.normalization != "adain":
        pairs = style_images if recipe.normalization == "conditional" else 1
        normalization = LearnedNormalization(recipe.normalization, encoder.widths[3], pairs)
    encoder.requires_grad_(recipe.train_encoder)
    return (
        Stylizer(encoder, decoder, normalization),
        LossNetwork(loss_encoder, recipe.pool, teacher),
        space,
    )


def load_color_teacher(name: str, loss_space: str) -> Decoder:
    """The decoder whose colors the results shall have.

    Raises:
        WeightsError: there is no such file.
        TrainingError: it is not a plain decoder of the loss network's space.
    """
    weights = load_weights(resolve(name))
    decoder = weights.decoder
    if not decoder or weights.space != loss_space or decoder.skips.taps or decoder.style_inside:
        found = f"a {decoder.skips} decoder" if decoder else "an encoder"
        raise TrainingError(
            f"'color_teacher' = {name!r}: expected a plain decoder for the features of the loss network,"
            f" {loss_space}; this file holds {found} for {weights.space}."
        )
    return decoder


def export(
    recipe: Recipe, stylizer: Stylizer, space: str, path: Path, style_names: list[str], summary: Mapping[str, object]
) -> None:
    """Write a result.

    The file holds the decoder, and the encoder too where no one else has it. The learned styles of instance and
    conditional instance normalization go beside it, as style files in ``styles/``.

    Args:
        recipe: of the run.
        stylizer: what was learned.
        space: from :func:`build`.
        path: of the file, ``<NAME>.safetensors``.
        style_names: a name for each image that styles were learned from.
        summary: what to say of the training in the file.
    """
    run, name = path.parent, path.stem
    encoder, decoder, normalization = stylizer.encoder, stylizer.decoder, stylizer.normalization
    space = space or space_of(name, encoder)
    if normalization and normalization.kind == "batch":
        decoder = normalization.fold_into(decoder)
    if isinstance(decoder, NormalizedDecoder):
        decoder = decoder.folded()
    changes = recipe.model_dump(mode="json", exclude_defaults=True)
    # A path says something on one machine only; the file's name says it everywhere.
    named = {
        key: Path(value).name if key in ("encoder", "loss_network", "start", "color_teacher") else value
        for key, value in changes.items()
    }
    info = {"training": json.dumps({**summary, "recipe": named})}
    if recipe.license:
        info["license"] = recipe.license
    found_elsewhere = space in (VGG19_NORMALIZED, VGG19_TORCHVISION) or recipe.encoder in embedded_models()
    alone = found_elsewhere and not recipe.train_encoder and not recipe.normalize_input
    save_weights(Weights(space, None if alone else encoder, decoder, info), path)
    if normalization:
        names = {"conditional": style_names, "instance": [name], "batch": []}[normalization.kind]
        for style_name, style in zip(names, normalization.styles(space), strict=True):
            style.save(run / "styles" / f"{style_name}.safetensors")
