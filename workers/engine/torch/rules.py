"""What may be said next: CTranslate2's rules for Whisper, for all rows at once and on their device.

In the order in which CTranslate2 applies them (`make_logits_processors`, 4.8):

1. A token said before is less likely (`repetition_penalty`).
2. No sequence of `no_repeat_ngram_size` tokens is said twice.
3. `suppress_tokens` are never said, and the blank ones not first.
4. A text with timestamps begins with one, within `max_initial_timestamp_index`, unless it has a prefix; they
   come in pairs, but for one at the very end; what is said between two of them takes time, and of a pair the
   second is not earlier; and where all of them together are likelier than any other token, one is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from workers.engine.torch.wish import Symbols, Wish

Tensor = Any


class Rules:
    """The rules for the rows of one call, and what they have said: their prefixes, to begin with."""

    def __init__(
        self,
        symbols: Symbols,
        wish: Wish,
        prefixes: Sequence[Sequence[int]],
        *,
        with_timestamps: bool,
        n_tokens: int,
        device: Any,
    ) -> None:
        self._wish = wish
        self._never = _mask(wish.suppress_tokens, n_tokens, device)
        never_first = symbols.never_first if wish.suppress_blank else ()
        self._never_first = self._never | _mask(never_first, n_tokens, device)
        self._timestamps = (
            TimestampRules(symbols, wish, prefixes, n_tokens, device) if with_timestamps else None
        )
        self._said = [list(prefix) for prefix in prefixes]
        """Of each row, prefix included. Only the first two rules look at it."""
        self._is_first = True
        self._remembers = wish.repetition_penalty != 1 or wish.no_repeat_ngram_size > 0

    def apply(self, logits: Tensor) -> Tensor:
        """`logits`, ``[rows, n_tokens]`` in float32, with what is forbidden out of reach; in place."""
        if self._remembers:
            self._penalize(logits)
            self._forbid_repetition(logits)
        lowest = torch.finfo(logits.dtype).min
        logits.masked_fill_(self._never_first if self._is_first else self._never, lowest)
        return logits if self._timestamps is None else self._timestamps.apply(logits)

    def take(self, tokens: Tensor) -> None:
        """Each row has said its token; ``[rows]``."""
        self._is_first = False
        if self._timestamps is not None:
            self._timestamps.take(tokens)
        if self._remembers:
            for said, token in zip(self._said, tokens.tolist(), strict=True):
                said.append(token)

    def reorder(self, origins: Tensor) -> None:
        """Each row goes on with what row `origins[row]` has said; there may be more of them than before."""
        if self._timestamps is not None:
            self._timestamps.reorder(origins)
        if self._remembers:
            self._said = [list(self._said[origin]) for origin in origins.tolist()]

    def _penalize(self, logits: Tensor) -> None:
        penalty = self._wish.repetition_penalty
        for row, said in enumerate(self._said if penalty != 1 else ()):
            tokens = torch.tensor(sorted(set(said)), dtype=torch.long, device=logits.device)
            before = logits[row, tokens]
            logits[row, tokens] = torch.where(before < 0, before * penalty, before / penalty)

    def _forbid_repetition(self, logits: Tensor) -> None:
        size = self._wish.no_repeat_ngram_size
        for row, said in enumerate(self._said if size > 0 else ()):
            if forbidden := repeating(said, size):
                logits[row, sorted(forbidden)] = torch.finfo(logits.dtype).min


class TimestampRules:
    """The fourth rule."""

    def __init__(
        self, symbols: Symbols, wish: Wish, prefixes: Sequence[Sequence[int]], n_tokens: int, device: Any
    ) -> None:
        self._symbols = symbols
        token = torch.arange(n_tokens, device=device)
        self._token = token
        self._is_timestamp = token >= symbols.first_timestamp
        self._is_word = token < symbols.end
        last_initial = symbols.first_timestamp + wish.max_initial_timestamp_index
        self._never_first = ~self._is_timestamp | (token > last_initial)
        nothing = torch.full((len(prefixes),), -1, device=device)
        self._last = nothing
        """The last token of each row; −1 before there is one, as in the next two."""
        self._one_before = nothing
        self._timestamp = nothing
        """The last timestamp of each row."""
        # After a prefix the first token may be anything: here CTranslate2 knows nothing of what went before.
        self._begins_freely = torch.tensor([len(prefix) > 0 for prefix in prefixes], device=device)

    def apply(self, logits: Tensor) -> Tensor:
        """`logits` with what this rule forbids out of reach; in place."""
        lowest = torch.finfo(logits.dtype).min
        first, begins = self._symbols.first_timestamp, self._last < 0
        after_timestamp = (self._last >= first)[:, None]
        after_pair = after_timestamp & ((self._one_before >= first) | (self._one_before < 0))[:, None]
        in_pair = after_timestamp & ~after_pair
        earliest = torch.where(in_pair[:, 0], self._timestamp, self._timestamp + 1)
        forbidden = self._is_timestamp & (after_pair | (self._token < earliest[:, None]))
        forbidden = forbidden | (in_pair & self._is_word)
        forbidden = torch.where((begins & ~self._begins_freely)[:, None], self._never_first, forbidden)
        forbidden = forbidden | (self._token == self._symbols.no_timestamps)
        logits.masked_fill_(forbidden, lowest)
        is_due = self._is_due(logits) & ~begins & ~after_pair[:, 0]
        return logits.masked_fill_(is_due[:, None] & ~self._is_timestamp, lowest)

    def take(self, tokens: Tensor) -> None:
        """Each row has said its token."""
        self._one_before, self._last = self._last, tokens
        is_timestamp = tokens >= self._symbols.first_timestamp
        self._timestamp = torch.where(is_timestamp, tokens, self._timestamp)

    def reorder(self, origins: Tensor) -> None:
        """Each row goes on with what row `origins[row]` has said."""
        self._last, self._one_before = self._last[origins], self._one_before[origins]
        self._timestamp, self._begins_freely = self._timestamp[origins], self._begins_freely[origins]

    def _is_due(self, logits: Tensor) -> Tensor:
        """Whether all timestamps together are likelier than any other token; ``[rows]``."""
        first = self._symbols.first_timestamp
        return logits[:, first:].logsumexp(-1) > logits[:, :first].amax(-1)


def repeating(said: Sequence[int], size: int) -> set[int]:
    """Tokens after which the last `size` have been said before."""
    if len(said) < size:
        return set()
    last = list(said[len(said) - size + 1 :])
    starts = range(len(said) - size + 1)
    return {said[start + size - 1] for start in starts if list(said[start : start + size - 1]) == last}


def _mask(tokens: Sequence[int], n_tokens: int, device: Any) -> Tensor:
    mask = torch.zeros(n_tokens, dtype=torch.bool, device=device)
    mask[list(tokens)] = True
    return mask
