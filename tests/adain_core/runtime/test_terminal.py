"""What a terminal would obey is shown as text."""

import pytest

from adain_core.runtime.terminal import printable, sentence


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("photo.png", "photo.png"),
        ("名前 été\u3000😀.png", "名前 été\u3000😀.png"),
        ("\x1b[2Jclear", "\\x1b[2Jclear"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("gnp.\u202eexe", "gnp.\\u202eexe"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("no utf-8 \udcff", "no utf-8 \\udcff"),
        ("\u2028\u2029\ufeff", "\\u2028\\u2029\\ufeff"),
    ],
)
def test_control_characters_are_escaped_and_nothing_else(name, shown):
    assert printable(name) == shown
    printable(name).encode()


def test_a_sentence_that_quotes_much_is_shortened_in_its_middle():
    assert sentence("a\n" + "n" * 1000) == "a\\n" + "n" * 1000
    short = sentence("begin" + "n" * 10**7 + "end")
    assert short.startswith("beginn") and "n ... n" in short and short.endswith("nend") and len(short) < 2100
    assert len(sentence("\U000e0001" * 5000)) < 2100
