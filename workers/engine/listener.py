"""One row on its way through its audio: the window it is at, the prompt for it, what it has heard.

This is the body of faster-whisper's seek loop (`WhisperModel.generate_segments`, 1.2.1) at temperature
0, turned inside out: the engine encodes and generates for many listeners at once and hands each its
own result. A window is at most 30 s; where the model's last timestamp lies inside it, the next window
starts there. Positions in the audio are in frames of 10 ms. Padding, however long, is not part of the
audio: timestamps and the next window are reckoned from the frames that hold some.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio
from numpy.typing import NDArray

from protocol.errors import RequestError
from protocol.transcript import Segment
from workers.engine.base import Heard, Outcome, Row
from workers.engine.context import FULL, AudioContext
from workers.engine.vocabulary import Vocabulary


class Listener:
    """The seek loop of one row, one step at a time."""

    def __init__(self, row: Row, vocabulary: Vocabulary, context: AudioContext = FULL) -> None:
        self.options = row.options
        self.language = row.options.language if vocabulary.is_multilingual else "en"
        """None until it is detected."""
        self._language_probability = 1.0
        self._vocabulary = vocabulary
        self._context = context
        self._whisper = vocabulary.whisper
        self._features: NDArray[np.float32] = row.features
        self._seek = 0
        self._segments: list[Segment] = []
        self._tokens = self._initial_tokens()
        self._prompt_since = 0
        self._warnings: tuple[str, ...] = ()
        self._refusal = self._refused()

    @property
    def is_listening(self) -> bool:
        """Whether there is audio left to hear."""
        return self._refusal is None and self._seek < self._content_frames

    def window(self) -> NDArray[np.float32]:
        """The features to encode next, padded with zeros: shape ``[n_mels, window_length]``."""
        window = self._features[:, self._seek : self._seek + self._window_frames]
        return np.asarray(pad_or_trim(window, self.window_length), dtype=np.float32)

    @property
    def window_length(self) -> int:
        """At how many frames the next window is encoded; 3000 with the full context."""
        return self._context.padded(self._window_frames)

    def speaks(self, language: str, probability: float) -> None:
        """Take the language detected in the first window."""
        self.language = language
        self._language_probability = probability

    def prompt(self) -> list[int]:
        """The tokens to continue: previous text, what is asked for, prefix."""
        prompt: list[int] = self._whisper.get_prompt(
            self._tokenizer(),
            self._tokens[self._prompt_since :],
            without_timestamps=self.options.without_timestamps,
            prefix=self.options.prefix if self._seek == 0 else None,
            hotwords=self.options.hotwords,
        )
        return prompt

    def shape(self) -> tuple[int, int, int]:
        """What rows of one call share: window length, and where in a prompt of what length the text starts.

        None of them depends on the language.
        """
        prompt = self.prompt()
        return self.window_length, prompt.index(self._tokenizer().sot), len(prompt)

    def hear(self, result: Any) -> None:
        """Take the `WhisperGenerationResult` of the current window and move on."""
        average = _average_log_prob(result, self.options.length_penalty)
        if self._is_silence(result.no_speech_prob, average):
            self._seek += self._window_frames
            return
        self._move_to(self._keep_segments(result, average))
        if not self.options.condition_on_previous_text:
            self._prompt_since = len(self._tokens)
        self._refusal = self._refused()

    def outcome(self) -> Outcome:
        """What was heard, or why the row was refused."""
        if self._refusal is not None:
            return self._refusal
        return Heard(
            text="".join(segment.text for segment in self._segments).strip(),
            language=self.language or self._vocabulary.languages[0],
            language_probability=self._language_probability,
            segments=tuple(self._segments),
            no_speech=not self._segments,
            warnings=self._warnings,
        )

    @property
    def _content_frames(self) -> int:
        # The extractor appends 160 samples of silence, faster-whisper leaves their frame out again.
        return int(self._features.shape[-1]) - 1

    @property
    def _window_frames(self) -> int:
        whole: int = self._whisper.feature_extractor.nb_max_frames
        return min(whole, self._content_frames - self._seek)

    def _tokenizer(self) -> Tokenizer:
        # Before detection any language gives a prompt of the right shape.
        return self._vocabulary.tokenizer(self.language or self._vocabulary.languages[0], self.options.task)

    def _initial_tokens(self) -> list[int]:
        if self.options.initial_prompt is None:
            return []
        encoding = self._whisper.hf_tokenizer.encode
        ids: list[int] = encoding(" " + self.options.initial_prompt.strip(), add_special_tokens=False).ids
        return ids

    def _refused(self) -> RequestError | None:
        try:
            self._vocabulary.check(self.options)
            if self._seek < self._content_frames:
                self._check_room()
        except RequestError as error:
            return error
        return None

    def _check_room(self) -> None:
        length, wanted = len(self.prompt()), self.options.max_new_tokens or 0
        if length + wanted > self._whisper.max_length:
            raise RequestError(
                f"the prompt has {length} tokens and max_new_tokens is {wanted}: "
                f"together the limit is {self._whisper.max_length}",
                "PROMPT_TOO_LONG",
            )

    def _is_silence(self, no_speech_prob: float, average: float) -> bool:
        gate, trusted = self.options.no_speech_threshold, self.options.log_prob_threshold
        if gate is None or (trusted is not None and average > trusted):
            return False
        return no_speech_prob > gate

    def _keep_segments(self, result: Any, average: float) -> int:
        """Keep the window's segments; the answer is where the next window starts."""
        tokens = result.sequences_ids[0]
        tokenizer = self._tokenizer()
        seconds = self._whisper.feature_extractor.time_per_frame
        found, seek, _ = self._whisper._split_segments_by_timestamps(
            tokenizer=tokenizer,
            tokens=tokens,
            time_offset=self._seek * seconds,
            segment_size=self._window_frames,
            segment_duration=self._window_frames * seconds,
            seek=self._seek,
        )
        ratio = get_compression_ratio(tokenizer.decode(tokens).strip())
        for part in found:
            text = tokenizer.decode(part["tokens"])
            if part["start"] == part["end"] or not text.strip():
                continue
            self._tokens += part["tokens"]
            self._segments.append(
                Segment(
                    id=len(self._segments) + 1,
                    start=part["start"],
                    end=part["end"],
                    text=text,
                    tokens=tuple(part["tokens"]),
                    avg_logprob=average,
                    compression_ratio=ratio,
                    no_speech_prob=result.no_speech_prob,
                )
            )
        return int(seek)

    def _move_to(self, seek: int) -> None:
        if seek > self._seek:
            self._seek = seek
            return
        # faster-whisper would hear this window again for ever.
        stuck_at = self._seek * self._whisper.feature_extractor.time_per_frame
        self._warnings = (f"the model's timestamps stand still at {stuck_at:.2f} s; the rest is unheard",)
        self._seek = self._content_frames


def _average_log_prob(result: Any, length_penalty: float) -> float:
    """Average log-probability of the generated tokens, end of text included."""
    length = len(result.sequences_ids[0])
    return float(result.scores[0] * length**length_penalty / (length + 1))
