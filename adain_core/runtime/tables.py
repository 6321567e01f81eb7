"""Tables of options: dataclasses whose fields know their range and say what they do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Option:
    """What a user may set.

    An option with bounds is a number, one with choices a word; one with both may be either, and one with neither is a
    text or, where its default is False, a switch.

    Args:
        default: None for what is not set by itself.
        sentence: what it does, in one or more English sentences.
        low: smallest number, and by its type the type of all: int or float.
        high: largest number; None for any that is finite.
        step: by how much a node's widget changes it.
        choices: the words to choose from.
        unset: what None stands for, such as "the content's own"; empty where it is never asked for.
        many: a tuple of such values, written with commas in between.
    """

    default: Any
    sentence: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    unset: str = ""
    many: bool = False

    @property
    def kind(self) -> type:
        """Of a single value: int, float, str or bool."""
        if self.low is not None:
            return type(self.low)
        return bool if self.default is False else str

    @property
    def range(self) -> str:
        """Of a number, such as "from 0 to 1"; empty for others."""
        if self.low is None:
            return ""
        return f"from {_shown(self.low)} " + ("on" if self.high is None else f"to {_shown(self.high)}")

    @property
    def expected(self) -> str:
        """What a value must be, as an error says it."""
        words = list(self.choices or (["True", "False"] if self.kind is bool else []))
        if self.low is not None:
            number = "whole number" if self.kind is int else "number" if self.high is not None else "finite number"
            words.append(f"{number}s {self.range} with commas in between" if self.many else f"a {number} {self.range}")
        return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]])) or "a text"

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that this option cannot have.

        Args:
            name: of the option, for the error.
            value: to be checked. None is what is not set.

        Raises:
            ValueError: with what was expected.
        """
        if value is None and (self.default is None or self.unset):
            return
        values = (value if isinstance(value, list | tuple) else ()) if self.many else [value]
        if not values or not all(map(self._fits, values)):
            raise ValueError(f"{name} is {value!r}; expected {self.expected}.")

    def parse(self, text: str) -> Any:
        """The value that a user wrote.

        Raises:
            ValueError: with what was expected, to stand behind the name of the option.
        """
        parts = text.split(",") if self.many else [text]
        try:
            values = [part if part in self.choices else self.kind(part) for part in parts]
        except ValueError:
            values = [None]
        if not all(map(self._fits, values)):
            raise ValueError(f"{text!r} is not {self.expected}")
        return tuple(values) if self.many else values[0]

    def shown(self, value: Any) -> str:
        """A value as users write it; the opposite of :meth:`parse`."""
        return ", ".join(map(_shown, value if self.many else [value]))

    def _fits(self, value: Any) -> bool:
        if isinstance(value, str):
            return value in self.choices if self.choices else self.kind is str
        if self.low is None or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if not isinstance(value, Integral if self.kind is int else Real):
            return False
        number: Any = value  # of any size: float() of a whole number may overflow
        return self.low <= number <= (sys.float_info.max if self.high is None else self.high)


def option(default: Any, sentence: str, **others: Any) -> Any:
    """A field of a dataclass that is an :class:`Option`."""
    return field(default=default, metadata={"option": Option(default, sentence, **others)})


class Table:
    """The base of frozen dataclasses whose fields are options.

    Raises:
        ValueError: at its making, for a value that is out of range or no choice.
    """

    def __post_init__(self) -> None:
        for name, option in options_of(type(self)).items():
            option.check(name, getattr(self, name))


def options_of(table: type) -> Mapping[str, Option]:
    """The options of a table by their names, in order."""
    options = {f.name: f.metadata["option"] for f in fields(table) if "option" in f.metadata}
    return MappingProxyType(options)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
