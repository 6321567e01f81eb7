"""StyleTransfer: pictures in the style of others, in one call."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from ..images.pictures import Picture, checked_image, from_pil, to_pil
from ..models.weights import load_model
from ..options import Options
from ..runtime.device import resolve_device, resolve_dtype
from ..runtime.progress import Progress, ignore_progress, section
from ..runtime.tables import options_of
from ..styles.stats import StyleStats
from .analyzer import laid_out
from .layers import Look, StyleLike, layers_of
from .runner import run
from .steps import Steps

ImageLike = TypeVar("ImageLike", Tensor, Image.Image)

_MEASURING_SHARE = 0.2


class StyleTransfer(Steps):
    """Arbitrary style transfer with one encoder and one decoder of the same space.

    Use :meth:`from_pretrained`, then call it, or take the four steps one by one: ``encode``, ``compute_style_stats``,
    ``blend``, ``decode``. Calling it clamps and keeps no gradients; ``forward`` is the same function of whole pictures,
    differentiable.

    Args:
        encoder, decoder, space, device, dtype, tile_memory: as for :class:`~adain_core.pipeline.steps.Steps`, and so
            are the errors.
    """

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = "lite",
        decoder: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        tile_memory: float | None = None,
    ) -> StyleTransfer:
        """Load weights.

        Args:
            model: the name of an embedded model, a .safetensors file, or a folder that holds an encoder and a decoder.
            decoder: another decoder of the same space: a name or a file.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ...
            dtype: ``auto`` (bfloat16 where the device is faster in it), ``float32``, ``bfloat16`` or ``float16``.
            tile_memory: what tiles may use in bytes; a quarter of the free memory and at most 1.5 GB if not given.

        Raises:
            WeightsError: the weights cannot be found or read, or they belong to different spaces.
            DeviceError: there is no such device or dtype here.
        """
        target = resolve_device(device)
        weights = load_model(model, decoder)
        networks = laid_out(weights.encoder), laid_out(weights.decoder)
        return cls(*networks, weights.space, target, resolve_dtype(dtype, target), tile_memory)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # A compiler and an exporter call modules, and mean forward.
        return super().__call__(*args, **kwargs) if torch.compiler.is_compiling() else self.stylize(*args, **kwargs)

    def stylize(
        self,
        content: ImageLike,
        style: StyleLike | Sequence[StyleLike] = (),
        *,
        weights: Sequence[float] | None = None,
        mask: Tensor | None = None,
        regions: Sequence[tuple[Tensor, StyleLike]] = (),
        style_mask: Tensor | None = None,
        progress: Progress = ignore_progress,
        **options: Any,
    ) -> ImageLike:
        """Stylize pictures; calling the model is the same.

        Args:
            content: [B, 3, H, W] in 0..1, or a Pillow image (whose transparency is kept).
            style: one style or several: tensors, pictures, of which what is transparent is not measured, or statistics;
                a batch of pictures is one style seen several times. May be left out where there are regions.
            weights: of several styles, relative to one another.
            mask: where to stylize, [H, W] or [B, H, W] in 0..1, any size; the rest is the content's reconstruction.
            regions: masks, each with the style for where it is white, each on top of those before. Even a sharp edge
                becomes a transition of about 30 pixels without a seam; blur the mask for a wider one.
            style_mask: where the styles' pictures are measured, as ``mask``.
            progress: called with the share that is done.
            options: those of :class:`~adain_core.options.Options`, such as ``alpha=0.8``.

        Returns:
            The stylized pictures, of the content's type; a tensor is on the content's device.

        Raises:
            TypeError: a picture or a mask is of another type.
            ValueError: an argument or the shape of a picture is not one of these, or the result is NaN.
        """
        chosen = _options(options)
        picture = from_pil(content) if isinstance(content, Image.Image) else Picture(checked_image(content))
        picture = picture.scaled(chosen.size)
        styles: list[StyleLike] = list(style) if isinstance(style, Sequence) else [style]
        if not styles and not (regions and mask is None and weights is None):
            raise ValueError("There is no style; give at least one, or regions alone without mask and weights.")
        measured = any(isinstance(s, StyleStats) for s in (*styles, *(s for _, s in regions)))
        if measured and (style_mask is not None or chosen.style_size or chosen.style_scale != 1):
            raise ValueError(
                "style_mask, style_size and style_scale are for pictures, but a style was measured already."
            )
        looks = [Look(styles, weights, mask)] if styles else []
        looks += [Look([s], None, region) for region, s in regions]
        layers, chosen = layers_of(self, looks, chosen, style_mask, section(progress, 0.0, _MEASURING_SHARE))
        rest = section(progress, 0.0 if callable(layers) else _MEASURING_SHARE, 1.0)
        (result,) = run(self, [picture.rgb], layers, chosen, progress=rest)
        return to_pil(replace(picture, rgb=result)) if isinstance(content, Image.Image) else result


def _options(given: dict[str, Any]) -> Options:
    known = options_of(Options)
    for name in given.keys() - known.keys():
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(f"There is no option '{name}'; {f'did you mean {near[0]}?' if near else ', '.join(known)}")
    return Options(**given)
