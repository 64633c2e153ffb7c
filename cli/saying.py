"""What a command prints on standard output, whatever that is."""

from __future__ import annotations

import json
import os
import sys


class CannotPrint(RuntimeError):
    """Standard output takes no more, such as a file on a full disk."""


def say(document: str) -> None:
    """Print it at once, with a line's end if it has none.

    What its encoding does not know is escaped.

    Raises:
        CannotPrint: it takes no more.
        BrokenPipeError: nobody reads any more.
    """
    line = document if document.endswith("\n") else document + "\n"
    try:
        _print(line)
    except UnicodeEncodeError as error:
        _print(line.encode(error.encoding, "backslashreplace").decode(error.encoding))


def say_json(value: object) -> None:
    """Print it as a line of JSON; raises as `say` does."""
    line = json.dumps(value, ensure_ascii=False) + "\n"
    try:
        _print(line)
    except UnicodeEncodeError:  # the name of a file may hold half a surrogate pair, which JSON can escape
        _print(json.dumps(value) + "\n")


def _print(line: str) -> None:
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _throw_away_the_rest()
        raise CannotPrint(f"standard output cannot be written: {error.strerror}") from error


def _throw_away_the_rest() -> None:
    """What was not written stays in a buffer, which Python would write at its end, and complain again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
