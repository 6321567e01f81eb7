"""Arbitrary style transfer by Adaptive Instance Normalization.

Examples:
    >>> from adain_core import StyleTransfer
    >>> stylize = StyleTransfer.from_pretrained("lite")
    >>> picture = stylize(photo, painting, alpha=0.8)
"""

from typing import TYPE_CHECKING

from .runtime.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from .public import *  # noqa: F403
else:
    # With the names comes PyTorch, which takes seconds: the command line has to be in control before.

    def __getattr__(name: str) -> object:
        if name != "public":
            from . import public

            if name == "__all__" or name in public.__all__:
                return getattr(public, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        from . import public

        return sorted({*globals(), *public.__all__})
