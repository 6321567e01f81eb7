"""Style transfer and texture synthesis by optimization of the picture itself (Gatys, Ecker and Bethge 2015, 2016)."""

from ..options import Init
from .gram import PRESETS, Losses, Settings, Style, settings_of
from .optimization import OnStep, Result, Step, estimate_memory, ignore_step, stylize, synthesize_texture

__all__ = [
    "PRESETS",
    "Init",
    "Losses",
    "OnStep",
    "Result",
    "Settings",
    "Step",
    "Style",
    "estimate_memory",
    "ignore_step",
    "settings_of",
    "stylize",
    "synthesize_texture",
]
