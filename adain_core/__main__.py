"""``python -m adain_core`` and ``adain``: the command line, from whose first moment on Ctrl-C ends in a sentence."""

import sys


def main() -> int:
    """Load the command line, which takes seconds, and run it: its exit code."""
    try:
        from .cli import main

        return main()
    except KeyboardInterrupt:
        print("adain: interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
