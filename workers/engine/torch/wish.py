"""What is to be generated, and how: the arguments of CTranslate2's `Whisper.generate`, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Whisper's decoder has positions for so many tokens, prompt included.
MOST_TOKENS = 448


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """The tokens of one vocabulary that mean something to the decoder."""

    start: int
    end: int
    no_speech: int
    no_timestamps: int
    """Timestamps follow it, to the end of the vocabulary."""
    languages: tuple[int, ...]
    """None if the model is English-only."""
    never_first: tuple[int, ...]
    """What `suppress_blank` forbids."""

    @property
    def first_timestamp(self) -> int:
        """0.00 s; each further one is 20 ms later."""
        return self.no_timestamps + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One value for all rows of a call, but for `max_length`."""

    beam_size: int = 1
    patience: float = 1.0
    num_hypotheses: int = 1
    """How many texts are drawn at a temperature above 0; the likeliest is the first of the result."""
    sampling_temperature: float = 0.0
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    max_length: Sequence[int] = ()
    """For each row, prompt included; of which CTranslate2 lets half at most be new."""
    suppress_blank: bool = True
    suppress_tokens: tuple[int, ...] = ()
    max_initial_timestamp_index: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt, taken apart."""

    tokens: tuple[int, ...]
    start: int
    """Where the start of transcript stands in it."""
    task: int
    """How many tokens it has up to the last that says what is asked for."""

    @classmethod
    def of(cls, tokens: Sequence[int], symbols: Symbols) -> Prompt:
        """Find the parts. Raises `ValueError` if no transcript starts in it."""
        start = list(tokens).index(symbols.start)
        task = start
        while task < len(tokens) and symbols.start <= tokens[task] <= symbols.no_timestamps:
            task += 1
        return cls(tokens=tuple(tokens), start=start, task=task)

    @property
    def prefix(self) -> tuple[int, ...]:
        """What the text begins with."""
        return self.tokens[self.task :]

    def limit(self, max_length: int) -> int:
        """How many tokens the text may have, prefix included, as CTranslate2 reckons it (`whisper.cc`)."""
        return min(max_length // 2, max_length - (self.task - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One row's answer, with the fields of CTranslate2's `WhisperGenerationResult` that are used here."""

    sequences_ids: list[list[int]]
    """Texts, prefix included and without the end of text, the likeliest first."""
    scores: list[float]
    """Their summed log-probabilities, divided by length to the power of the length penalty."""
    no_speech_prob: float


def ranked(texts: Sequence[tuple[list[int], float]], penalty: float) -> list[tuple[list[int], float]]:
    """Texts with their scores, the best first; those given come with their summed log-probabilities."""
    scored = [(text, score(total, len(text), penalty)) for text, total in texts]
    return sorted(scored, key=lambda one: one[1], reverse=True)


def score(total: float, length: int, penalty: float) -> float:
    """What CTranslate2 calls the score of a text; of no text it is nothing to go by."""
    if length == 0 and penalty != 0:
        return float("-inf")
    return float(total / length**penalty)
