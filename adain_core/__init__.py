"""Arbitrary style transfer by Adaptive Instance Normalization.

>>> from adain_core import StyleTransfer
>>> stylize = StyleTransfer.from_pretrained("lite")
>>> picture = stylize(photo, painting, alpha=0.8)
"""

from .analyzer import StyleAnalyzer
from .features import Features
from .pipeline import StyleTransfer
from .stats import StyleStats, mix
from .weights import WeightsError

__all__ = ["Features", "StyleAnalyzer", "StyleStats", "StyleTransfer", "WeightsError", "mix"]
__version__ = "0.1.0"
