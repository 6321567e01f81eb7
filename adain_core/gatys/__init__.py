"""Style transfer and texture synthesis by optimization of the picture itself (Gatys, Ecker and Bethge 2015, 2016)."""

from .gram import PRESETS, Losses, Settings, Style
from .optimization import Init, OnStep, Result, Step, estimate_memory, ignore_step, stylize, synthesize_texture

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
    "stylize",
    "synthesize_texture",
]
