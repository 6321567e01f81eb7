"""Arbitrary style transfer by Adaptive Instance Normalization.

>>> from adain_core import StyleTransfer
>>> stylize = StyleTransfer.from_pretrained("lite")
>>> picture = stylize(photo, painting, alpha=0.8)
"""

from .models.errors import WeightsError
from .pipeline.analyzer import StyleAnalyzer
from .pipeline.features import Features
from .pipeline.transfer import StyleTransfer
from .styles.stats import StyleStats, mix

__all__ = ["Features", "StyleAnalyzer", "StyleStats", "StyleTransfer", "WeightsError", "mix"]
__version__ = "0.1.0"
