"""What a caller may give by name with an audio segment: for type checkers and editors, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict


class GivenOptions(TypedDict, total=False):
    """The fields of `protocol.options.Options`, which checks the values and knows the defaults."""

    language: str | None
    task: str
    beam_size: int
    best_of: int
    patience: float
    length_penalty: float
    repetition_penalty: float
    no_repeat_ngram_size: int
    temperature: float | Sequence[float]
    compression_ratio_threshold: float | None
    log_prob_threshold: float | None
    no_speech_threshold: float | None
    condition_on_previous_text: bool
    prompt_reset_on_temperature: float
    initial_prompt: str | None
    prefix: str | None
    hotwords: str | None
    suppress_blank: bool
    suppress_tokens: Sequence[int] | None
    without_timestamps: bool
    max_initial_timestamp: float
    word_timestamps: bool
    prepend_punctuations: str
    append_punctuations: str
    hallucination_silence_threshold: float | None
    max_new_tokens: int | None
    vad_filter: bool
    vad_parameters: Mapping[str, float] | None
    model_pref: str | None


class GivenTerms(GivenOptions, total=False):
    """What `submit` and `submit_many` take besides; `Client.submit` says what they mean."""

    sample_rate: int | None
    priority: str
    deadline: float | None
    expires: float | None
    encoding: str
    conversation: str | None
    tenant: str | None
    metadata: Mapping[str, str] | None


class GivenForOne(GivenTerms, total=False):
    """What `submit` takes."""

    request_id: str | None


class GivenForMany(GivenTerms, total=False):
    """What `submit_many` takes."""

    request_ids: Sequence[str] | None
