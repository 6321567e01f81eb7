"""Text for a terminal, and for whoever else reads an error."""

from __future__ import annotations

import unicodedata

# Control and format characters, halves of surrogate pairs, separators of lines and paragraphs.
_NOT_SHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_LONGEST = 2000


def printable(text: str) -> str:
    """One line with the characters escaped that a terminal obeys or that it cannot show: the name of a file might move
    the cursor, clear the screen or turn the order of letters around."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _NOT_SHOWN else char for char in text
    )


def sentence(message: str) -> str:
    """A message that quotes from a file, which may hold names of megabytes: printable, and short by leaving out its
    middle."""
    message = printable(message)
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}"
    return message
