"""A look at the operations that torch.save wrote before PyTorch carries them out: a few bytes can ask for hours.

A tuple of a tuple twice, of that twice, and so on is short in a file and shared in memory, but as the key of a
dictionary all of it is gone through, which nothing can interrupt.
"""

from __future__ import annotations

from typing import IO

_MOST_OPERATIONS = 1_000_000
_MOST_IN_A_TUPLE = 10_000

# How many bytes belong to an operation, or to the number of those that do.
_FIXED = {b"K": 1, b"M": 2, b"J": 4, b"G": 8, b"h": 1, b"j": 4, b"q": 1, b"r": 4, b"\x80": 1}
_COUNTED = {b"X": 4, b"U": 1, b"\x8a": 1}
_REMEMBER, _RECALL = (b"q", b"r"), (b"h", b"j")
_VALUES = (b"N", b"\x88", b"\x89", b"]", b"}", b")", b"\x8f", b"K", b"M", b"J", b"G", b"X", b"U", b"\x8a", b"c")
# How many values an operation takes, all since the last mark where none is said: some make one of them, others put them
# into the one below.
_MAKERS = {b"t": None, b"\x85": 1, b"\x86": 2, b"\x87": 3, b"R": 2, b"\x81": 2, b"Q": 1}
_FILLERS = {b"a": 1, b"e": None, b"s": 2, b"u": None, b"b": 1}
# Functions that PyTorch would call, but that make much of a number, take long over a text or hold nothing.
_COSTLY = {b"bytearray", b"encode", b"_rebuild_meta_tensor_no_storage"}


def check_operations(file: IO[bytes]) -> None:
    """Go through the operations to their end, where the file is left.

    Raises:
        ValueError: they are damaged, too many, others than torch.save's, or ask for more than their bytes suggest.
    """
    try:
        _go_through(file)
    except (LookupError, EOFError) as error:
        raise ValueError("it is damaged") from error


def _go_through(file: IO[bytes]) -> None:
    sizes: list[int] = []  # of the values on the stack: how many each tuple holds, directly or not
    known: dict[bytes, int] = {}
    marks: list[int] = []

    def take(count: int | None) -> int:
        start = marks.pop() if count is None else len(sizes) - count
        taken = sizes[start:]
        if len(taken) < (count or 0):
            raise IndexError("the stack is empty")
        del sizes[start:]
        return sum(taken)

    for _ in range(_MOST_OPERATIONS):
        operation = file.read(1)
        if not operation:
            raise EOFError("the operations have no end")
        length = _FIXED.get(operation, 0) or int.from_bytes(file.read(_COUNTED.get(operation, 0)), "little")
        argument = file.read(length)
        if operation == b"c" and {file.readline().strip(), file.readline().strip()} & _COSTLY:
            raise ValueError("it calls a function that no weights need")
        if operation in _VALUES:
            sizes.append(1)
        elif operation in _MAKERS:
            sizes.append(1 + take(_MAKERS[operation]))
            if sizes[-1] > _MOST_IN_A_TUPLE:
                raise ValueError(f"it has a tuple of more than {_MOST_IN_A_TUPLE} values")
        elif operation in _FILLERS:
            take(_FILLERS[operation])
        elif operation in _REMEMBER:
            known[argument.rstrip(b"\0")] = sizes[-1]
        elif operation in _RECALL:
            sizes.append(known[argument.rstrip(b"\0")])
        elif operation == b"(":
            marks.append(len(sizes))
        elif operation == b".":
            return
        elif operation != b"\x80":
            raise ValueError(f"torch.save does not write the operation {operation!r}")
    raise ValueError(f"it has more than {_MOST_OPERATIONS} operations")
