"""Looking for the text of each row: the likeliest token by token, drawn at a temperature, or by beams.

What comes out is what CTranslate2's `GreedySearch` and `BeamSearch` (`src/decoding.cc`, 4.8) find, text for
text where no two candidates are as likely as rounding can tell. A row that has ended stays in the call, with
nothing more to say, until the last of its neighbours has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from workers.engine.torch.rules import Rules
from workers.engine.torch.speaker import Speaker
from workers.engine.torch.wish import Prompt, Wish, ranked

Tensor = Any

Texts = list[tuple[list[int], float]]
"""Texts of one row with their scores, the best first."""

#: What CTranslate2 gives a second beam for ending the text with its prefix.
_UNWANTED = -1e10


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One call: who speaks, by which rules, and how far."""

    speaker: Speaker
    rules: Rules
    wish: Wish
    prompts: Sequence[Prompt]
    end: int
    """The token that ends a text."""

    def texts(self) -> list[Texts]:
        """The texts of each row."""
        if self.wish.sampling_temperature == 0 and self.wish.beam_size > 1:
            return self._by_beams()
        return self._one_by_one()

    @property
    def _limits(self) -> list[int]:
        """How many tokens each row's text may have, prefix included."""
        longest = zip(self.prompts, self.wish.max_length, strict=True)
        return [prompt.limit(length) for prompt, length in longest]

    @property
    def _free(self) -> list[int]:
        """How many of them come after the prefix; none or less where that is too long."""
        return [limit - len(one.prefix) for limit, one in zip(self._limits, self.prompts, strict=True)]

    def _log_probs(self) -> Tensor:
        return self.rules.apply(self.speaker.logits).log_softmax(-1)

    def _say(self, tokens: Tensor) -> None:
        self.rules.take(tokens)
        self.speaker.say(tokens)

    def _one_by_one(self) -> list[Texts]:
        times = self.wish.num_hypotheses if self.wish.sampling_temperature > 0 else 1
        self._fork(times)
        free = torch.tensor(self._free, device=self.speaker.device).repeat_interleave(times)
        is_over, totals = free <= 0, torch.zeros(len(free), device=self.speaker.device)
        said: list[Tensor] = []
        goes_on = not is_over.all()
        while goes_on:
            log_probs = self._log_probs()
            chosen = self._chosen(log_probs)
            totals += log_probs.gather(1, chosen[:, None])[:, 0].masked_fill(is_over, 0)
            said.append(chosen.masked_fill(is_over, self.end))
            is_over = is_over | (chosen == self.end) | (free <= len(said))
            if goes_on := not is_over.all():
                self._say(said[-1])
        return self._ranked(torch.stack(said, 1).tolist() if said else [], totals)

    def _ranked(self, said: list[list[int]], totals: Tensor) -> list[Texts]:
        """What follows the prefix of each row, as often as texts are drawn → the row's texts."""
        times, found = len(totals) // len(self.prompts), []
        texts = iter(zip(said or [[] for _ in totals], totals.tolist(), strict=True))
        for prompt, limit in zip(self.prompts, self._limits, strict=True):
            row = [
                ([*prompt.prefix, *until(self.end, text)][:limit], total)
                for text, total in islice(texts, times)
            ]
            found.append(ranked(row, self.wish.length_penalty))
        return found

    def _chosen(self, log_probs: Tensor) -> Tensor:
        if self.wish.sampling_temperature == 0:
            return log_probs.argmax(-1)
        return torch.multinomial((log_probs / self.wish.sampling_temperature).softmax(-1), 1)[:, 0]

    def _fork(self, times: int) -> None:
        """Go on with so many texts for each row."""
        if times > 1:
            n_rows = len(self.prompts)
            self.rules.reorder(torch.arange(n_rows, device=self.speaker.device).repeat_interleave(times))
            self.speaker.fork(times)

    def _by_beams(self) -> list[Texts]:
        beams = [
            Beams(wish=self.wish, limit=limit, end=self.end, prefix=prompt.prefix)
            for prompt, limit in zip(self.prompts, self._limits, strict=True)
        ]
        totals = torch.zeros((len(beams), 1), device=self.speaker.device)
        while not all(one.is_over for one in beams):
            self._step(beams, totals)
            if all(one.is_over for one in beams):
                break
            if totals.shape[1] == 1:
                self._fork(self.wish.beam_size)
            totals = self._go_on(beams)
        return [ranked(one.found, self.wish.length_penalty) for one in beams]

    def _step(self, beams: Sequence[Beams], totals: Tensor) -> None:
        """Show each row its likeliest ways to go on, twice as many as it has beams."""
        log_probs = self._log_probs()
        n_tokens = log_probs.shape[-1]
        likely = (log_probs.view(*totals.shape, n_tokens) + totals[:, :, None]).flatten(1)
        best, flat = likely.topk(2 * self.wish.beam_size)
        for row, scores, places in zip(beams, best.tolist(), flat.tolist(), strict=True):
            row.step(
                [
                    Candidate(origin=place // n_tokens, token=place % n_tokens, total=total)
                    for place, total in zip(places, scores, strict=True)
                ]
            )

    def _go_on(self, beams: Sequence[Beams]) -> Tensor:
        """Say what each beam goes on with; returns the totals, ``[rows, beams]``."""
        device = self.speaker.device
        active = [one for row in beams for one in row.active]
        first = [row * len(one.active) for row, one in enumerate(beams) for _ in one.active]
        origins = torch.tensor(
            [at + one.origin for at, one in zip(first, active, strict=True)], device=device
        )
        self.rules.reorder(origins)
        self.speaker.reorder(origins)
        self._say(torch.tensor([one.token for one in active], device=device))
        return torch.tensor([one.total for one in active], device=device).view(len(beams), -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to go on."""

    origin: int
    """The beam that it goes on from."""
    token: int
    total: float
    """Log-probability of the whole text so far."""

    def unless(self, end: int) -> Candidate:
        """Itself, or something that nobody will choose if it ends the text."""
        if self.token != end:
            return self
        return Candidate(origin=self.origin, token=0, total=_UNWANTED)


class Beams:
    """The beams of one row, and its texts that have ended."""

    def __init__(self, *, wish: Wish, limit: int, end: int, prefix: Sequence[int]) -> None:
        self.active: list[Candidate] = []
        """What each beam goes on with next."""
        self.found: list[tuple[list[int], float]] = []
        """Texts that have ended, with their totals."""
        self.is_over = limit <= len(prefix)
        self._wish, self._limit, self._end = wish, limit, end
        self._said = [list(prefix)]
        self._prefix_length = len(prefix)
        if self.is_over:
            self.found.append((list(prefix[:limit]), 0.0))
            self.active = [Candidate(origin=0, token=end, total=0.0)] * wish.beam_size

    def step(self, candidates: Sequence[Candidate]) -> None:
        """Take the likeliest ways to go on, twice as many as there are beams, the likeliest first.

        A beam whose text ends is replaced by the next candidate whose does not.
        """
        if self.is_over:
            return
        length = len(self._said[0])
        if length == self._prefix_length > 0:  # CTranslate2 distrusts a text that is nothing but its prefix
            candidates = [candidates[0], *(one.unless(self._end) for one in candidates[1:])]
        is_last = length + 1 >= self._limit
        size = self._wish.beam_size
        spare = (one for one in candidates[size:] if one.token != self._end)
        self.active = [self._taken(one, spare, is_last=is_last) for one in candidates[:size]]
        self.is_over = is_last or self._is_enough(candidates[0])
        self._said = [[*self._said[one.origin], one.token] for one in self.active]

    def _taken(self, one: Candidate, spare: Iterator[Candidate], *, is_last: bool) -> Candidate:
        """What a beam goes on with, which is another candidate if this one ends its text."""
        if one.token != self._end and not is_last:
            return one
        text = self._said[one.origin]
        self.found.append((text if one.token == self._end else [*text, one.token], one.total))
        return next(spare, one)

    def _is_enough(self, best: Candidate) -> bool:
        if self._wish.length_penalty == 0:  # CTranslate2 then trusts the first beam
            return best.token == self._end
        return len(self.found) >= int(self._wish.beam_size * self._wish.patience + 0.5)


def until(end: int, text: list[int]) -> list[int]:
    """`text` up to its end."""
    return text[: text.index(end)] if end in text else text
