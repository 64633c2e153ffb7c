"""The word error rate: how many words would have to be changed, added or taken away."""

import re
from collections.abc import Sequence


def words(text: str) -> list[str]:
    """The words of `text`, without case and punctuation."""
    return re.findall(r"[\w']+", text.casefold())


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest substitutions, insertions and deletions that turn `heard` into `said` (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(heard, 1):
            diagonal, row[column] = (
                row[column],
                min(diagonal + (word != other), row[column] + 1, row[column - 1] + 1),
            )
    return row[-1]
