"""The public names, which :mod:`adain_core` passes on when they are first used."""

from . import gatys
from .films.smoothing import StyleTimeline, stylize_film
from .images.color import match_color, preserve_color
from .images.files import ImageError, read_picture, write_picture
from .images.pictures import Picture
from .models.addresses import HubError
from .models.errors import WeightsError
from .networks.decoder import Decoder
from .networks.encoder import VGG19_WIDTHS, Encoder
from .networks.normalization import (
    adaptive_instance_norm,
    batch_norm,
    conditional_instance_norm,
    instance_norm,
    mean_std,
)
from .networks.skips import Skips
from .options import FilmOptions, Options
from .pipeline.analyzer import StyleAnalyzer
from .pipeline.features import Features
from .pipeline.layers import Layer
from .pipeline.runner import run
from .pipeline.transfer import StyleTransfer
from .runtime.device import DeviceError
from .styles.files import StyleFileError
from .styles.stats import StyleStats, merge, mix, mix_by_transport
from .styles.transforms import TRANSFORMS, Transform

__all__ = [
    "TRANSFORMS",
    "VGG19_WIDTHS",
    "Decoder",
    "DeviceError",
    "Encoder",
    "Features",
    "FilmOptions",
    "HubError",
    "ImageError",
    "Layer",
    "Options",
    "Picture",
    "Skips",
    "StyleAnalyzer",
    "StyleFileError",
    "StyleStats",
    "StyleTimeline",
    "StyleTransfer",
    "Transform",
    "WeightsError",
    "adaptive_instance_norm",
    "batch_norm",
    "conditional_instance_norm",
    "gatys",
    "instance_norm",
    "match_color",
    "mean_std",
    "merge",
    "mix",
    "mix_by_transport",
    "preserve_color",
    "read_picture",
    "run",
    "stylize_film",
    "write_picture",
]
