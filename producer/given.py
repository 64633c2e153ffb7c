"""What a caller may give by name with an audio segment: for type checkers and editors, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class GivenOptions(TypedDict, total=False):
    """The fields of `protocol.options.Options`, which checks the values and knows the defaults."""

    language: str | None
    task: str
    beam_size: int
    patience: float
    length_penalty: float
    repetition_penalty: float
    no_repeat_ngram_size: int
    log_prob_threshold: float | None
    no_speech_threshold: float | None
    condition_on_previous_text: bool
    initial_prompt: str | None
    prefix: str | None
    hotwords: str | None
    suppress_blank: bool
    without_timestamps: bool
    max_initial_timestamp: float
    max_new_tokens: int | None


class GivenTerms(GivenOptions, total=False):
    """What `submit` and `submit_many` take besides; `Client.submit` says what they mean."""

    sample_rate: int | None
    priority: str
    expires: float | None
    encoding: str


class GivenForOne(GivenTerms, total=False):
    """What `submit` takes."""

    request_id: str | None


class GivenForMany(GivenTerms, total=False):
    """What `submit_many` takes."""

    request_ids: Sequence[str] | None
