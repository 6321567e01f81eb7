"""What goes wrong with weights."""

from ..runtime.terminal import sentence


class WeightsError(ValueError):
    """A weights file cannot be found, read or used; the message says which, why and what would fit, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(sentence(message))
