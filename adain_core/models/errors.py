"""What goes wrong with weights."""


class WeightsError(ValueError):
    """A weights file cannot be found, read or used; the message says which, why and what would fit."""
