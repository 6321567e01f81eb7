"""Feature transforms: how content features take on a style's statistics.

A transform is one file with one line here.
"""

from .adain import ADAIN
from .base import Transform
from .efdm import EFDM
from .gaussian_ot import GAUSSIAN_OT
from .histogram import HISTOGRAM
from .instance_norm import INSTANCE_NORM
from .wct import WCT

TRANSFORMS: dict[str, Transform] = {
    transform.name: transform for transform in (ADAIN, INSTANCE_NORM, WCT, GAUSSIAN_OT, EFDM, HISTOGRAM)
}
"""All transforms by the names that users call them by."""

__all__ = ["ADAIN", "GAUSSIAN_OT", "TRANSFORMS", "Transform"]
