"""The door: verbs, exit codes and errors that end in something to type."""

from __future__ import annotations

import sys
import warnings

from generators.drawer import UsageError, neighbours
from suite import help as pages
from suite.complaints import INTERRUPTED, complaint
from suite.progress import show_warning
from suite.verbs import DONE, FAILED, VERBS, command

USAGE, MISSING = 2, 3

__all__ = ["DONE", "FAILED", "INTERRUPTED", "MISSING", "USAGE", "VERBS", "main"]


def main(words: list[str] | None = None) -> int:
    """Run one verb; returns 0 done, 1 failed, 2 wrong usage, 3 data missing, 130 interrupted."""
    words = sys.argv[1:] if words is None else words
    warnings.showwarning = show_warning
    if not words or words[0] in ("--help", "-h", "help"):
        print(pages.front())
        return DONE
    verb, rest = words[0], words[1:]
    if verb == "--version":
        from importlib.metadata import version

        print(version("sourcebench"))
        return DONE
    try:
        if verb not in VERBS:
            raise UsageError(f"unknown verb {verb!r}.{neighbours(verb, list(VERBS))}")
        if "--help" in rest or "-h" in rest:
            print(pages.of(verb))
            return DONE
        return VERBS[verb](rest)
    except KeyboardInterrupt as interrupt:
        detail = str(interrupt) or "what was finished is kept; type the same command to go on"
        print(f"\ninterrupted: {detail}\n  {command(words)}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        told = complaint(error)
        if told is None:  # a bug of ours: its traceback is wanted
            raise
        print(f"error: {told.text}", file=sys.stderr)
        return told.exit_code
