"""Words said beside words heard, and how many differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Pair = tuple[str | None, str | None]
"""A word that was said and the one heard in its place; None where one of them is missing."""


def words_of(text: str) -> list[str]:
    """The words of `text` as they are compared: no case, no punctuation."""
    kept = "".join(character if character.isalnum() or character == "'" else " " for character in text)
    return kept.casefold().split()


def align(said: Sequence[str], heard: Sequence[str]) -> list[Pair]:
    """Pair up the words with as few differing pairs as can be (Levenshtein's distance)."""
    costs = _costs(said, heard)
    pairs: list[Pair] = []
    row, column = len(said), len(heard)
    while row or column:
        here = costs[row][column]
        both = bool(row and column)
        if both and here == costs[row - 1][column - 1] + (said[row - 1] != heard[column - 1]):
            row, column = row - 1, column - 1
            pairs.append((said[row], heard[column]))
        elif row and here == costs[row - 1][column] + 1:
            row -= 1
            pairs.append((said[row], None))
        else:
            column -= 1
            pairs.append((None, heard[column]))
    return pairs[::-1]


def word_errors(said: str, heard: str) -> int:
    """How many words were replaced, left out or put in."""
    return sum(one != other for one, other in align(words_of(said), words_of(heard)))


def word_error_rate(texts: Iterable[tuple[str, str]]) -> float:
    """Word errors per word said, over all (said, heard) together; 0.0 if nothing was said."""
    errors = words = 0
    for said, heard in texts:
        errors += word_errors(said, heard)
        words += len(words_of(said))
    return errors / words if words else 0.0


def _costs(said: Sequence[str], heard: Sequence[str]) -> list[list[int]]:
    """``costs[i][j]``: the fewest differing pairs between the first i words said and the first j heard."""
    costs = [list(range(len(heard) + 1))]
    for row, word in enumerate(said, start=1):
        above, current = costs[-1], [row]
        for column, other in enumerate(heard, start=1):
            current.append(
                min(above[column - 1] + (word != other), above[column] + 1, current[column - 1] + 1)
            )
        costs.append(current)
    return costs
