"""What a decoder knows of the rows of one call: the audio, and what was said so far.

Prompts of different length stand at the right of one rectangle; a row's places are counted from where its
own prompt begins, and what lies left of that is never attended to. So rows with and without a prompt share
one call, and each computes what it computes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from workers.engine.torch.wish import MOST_TOKENS

Tensor = Any


#: The last position that there is. A row that has ended is fed on while its neighbours are not at their ends,
#: and with a long prompt beyond it; what comes of that nobody reads, but on a GPU it would cost the process.
LAST = MOST_TOKENS - 1


def as_mask(attended: Tensor, dtype: Any) -> Tensor:
    """What is added to the scores of an attention: once, where SDPA would do it again in every layer.

    In the type of the queries: cuDNN reads any other as if it were that (pytorch#191612). Not -inf, of which
    it makes NaN in some versions.
    """
    return torch.zeros_like(attended, dtype=dtype).masked_fill_(~attended, torch.finfo(dtype).min)


class Hearing:
    """Keys and values of a call. `advance`, then `said` for each layer, once for each piece of text."""

    def __init__(
        self, heard: Sequence[tuple[Tensor, Tensor]], *, padding: Sequence[int], length: int
    ) -> None:
        """Nothing is said yet.

        Args:
            heard: for each layer keys and values of the audio, ``[rows, heads, positions, width / heads]``.
            padding: how many places at the left of each row hold nothing.
            length: how long the text may become, padding included.
        """
        self.heard = list(heard)
        keys, _ = self.heard[0]
        n_rows, n_heads, _, width = keys.shape
        self.padding = torch.tensor(padding, device=keys.device)
        shape = (len(self.heard), 2, n_rows, n_heads, length, width)
        self.cache = torch.zeros(shape, dtype=keys.dtype, device=keys.device)
        self.places = torch.arange(length, device=keys.device)
        self.mask: Tensor = None
        """Which places the rows attend to: ``[rows, 1, length of the piece, length so far]``."""
        self._now = slice(0, 0)

    @property
    def n_bytes(self) -> int:
        """What it holds, in bytes."""
        return int(self.cache.nbytes + sum(keys.nbytes + values.nbytes for keys, values in self.heard))

    @property
    def length(self) -> int:
        """How many places hold something, or are left out."""
        return self._now.stop

    def advance(self, length: int) -> Tensor:
        """Make room for a piece of so many tokens; returns its positions, ``[rows, length]``."""
        self._now = slice(self._now.stop, self._now.stop + length)
        new, so_far = self.places[self._now], self.places[: self._now.stop]
        is_before = so_far <= new[:, None]
        # A place that holds nothing attends to itself: a softmax over no place at all is not a number.
        is_own = (so_far >= self.padding[:, None, None]) | (so_far == new[:, None])
        self.mask = as_mask((is_before & is_own)[:, None], self.cache.dtype)
        return (new - self.padding[:, None]).clamp(0, LAST)

    def said(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep keys and values of this piece; returns those of all so far."""
        own_keys, own_values = self.cache[layer]
        own_keys[:, :, self._now], own_values[:, :, self._now] = keys, values
        return own_keys[:, :, : self._now.stop], own_values[:, :, : self._now.stop]

    def fork(self, times: int) -> None:
        """Go on with so many texts for each row, beside each other. Audio is not copied."""
        self.cache = self.cache.repeat_interleave(times, dim=2)
        self.padding = self.padding.repeat_interleave(times)

    def reorder(self, origins: Tensor) -> None:
        """Let each row go on with what row `origins[row]` has said, of the same audio."""
        kept = self.cache[..., : self._now.stop, :]
        kept.copy_(kept.index_select(2, origins))
