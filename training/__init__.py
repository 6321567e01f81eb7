"""Training of encoders and decoders, and the study's experiments. See ``python -m training.fit --help``."""

import sys
from types import TracebackType

if sys.argv[0] == "-m":
    # One of the commands is about to be imported, and PyTorch with it, which takes seconds: Ctrl-C ends them in a
    # sentence too.

    def _end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, traceback)
            return
        print("Interrupted.", file=sys.stderr)
        raise SystemExit(130)

    sys.excepthook = _end
