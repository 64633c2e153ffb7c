"""What one decoding of a window gave, and the gates that say whether it is good enough.

The rules are faster-whisper's (`generate_with_fallback` and what follows it, 1.2.1):

1. A window is silence if no speech is likely and the model is not sure of its text either.
2. Text is good enough if it is neither too repetitive nor too unlikely. A window whose text is not is
   decoded again at the next temperature.
3. If no temperature helped, the likeliest text stands, of those not too repetitive if there are any.

A gate whose threshold is None is open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from faster_whisper.transcribe import get_compression_ratio

from protocol.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One decoding of one window."""

    tokens: tuple[int, ...] = field(repr=False)
    avg_logprob: float
    """Average log-probability of the tokens, end of text included."""
    compression_ratio: float
    """Bytes of the text to bytes of it compressed: repetition makes it large."""
    no_speech_prob: float

    @classmethod
    def of(cls, result: Any, text: str, length_penalty: float) -> Attempt:
        """What CTranslate2's `WhisperGenerationResult` says, whose tokens read `text`."""
        tokens = result.sequences_ids[0]
        return cls(
            tokens=tuple(tokens),
            avg_logprob=float(result.scores[0] * len(tokens) ** length_penalty / (len(tokens) + 1)),
            compression_ratio=get_compression_ratio(text.strip()),
            no_speech_prob=result.no_speech_prob,
        )

    def is_silence(self, options: Options) -> bool:
        """Rule 1."""
        is_sure = options.log_prob_threshold is not None and self.avg_logprob > options.log_prob_threshold
        return self.says_no_speech(options) and not is_sure

    def is_good_enough(self, options: Options) -> bool:
        """Rule 2."""
        lowest = options.log_prob_threshold
        return not self.is_repetitive(options) and (lowest is None or self.avg_logprob >= lowest)

    def is_doubtful(self, options: Options) -> bool:
        """Whether any gate speaks against it, be it outvoted by another."""
        return self.says_no_speech(options) or not self.is_good_enough(options)

    def is_repetitive(self, options: Options) -> bool:
        """Whether the text says the same over and over."""
        highest = options.compression_ratio_threshold
        return highest is not None and self.compression_ratio > highest

    def says_no_speech(self, options: Options) -> bool:
        """Whether the model takes the window for silence, whatever text it gave."""
        highest = options.no_speech_threshold
        return highest is not None and self.no_speech_prob > highest


def better(one: Attempt | None, other: Attempt, options: Options) -> Attempt:
    """The one that stands if neither is good enough; of equals, the first. Rule 3."""
    return other if one is None or _rank(other, options) > _rank(one, options) else one


def _rank(attempt: Attempt, options: Options) -> tuple[bool, float]:
    return not attempt.is_repetitive(options), attempt.avg_logprob
