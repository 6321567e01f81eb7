"""Text for a terminal."""

from __future__ import annotations

import unicodedata

# Control and format characters, halves of surrogate pairs, separators of lines and paragraphs.
_NOT_SHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    """One line with the characters escaped that a terminal obeys or that it cannot show: the name of a file might move
    the cursor, clear the screen or turn the order of letters around."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _NOT_SHOWN else char for char in text
    )
