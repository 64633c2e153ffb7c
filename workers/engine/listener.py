"""One row on its way through its audio: the window it is at, the prompt for it, what it has heard.

This is the body of faster-whisper's seek loop (`WhisperModel.generate_segments`, 1.2.1), turned inside
out: the engine encodes and generates for many listeners at once and hands each its own result. A window
is at most 30 s; where the model's last timestamp lies inside it, the next window starts there. Positions
in the audio are in frames of 10 ms. Padding, however long, is not part of the audio: timestamps and the
next window are reckoned from the frames that hold some.

Two things are not faster-whisper's. A window whose text fails its gates is not decoded again at once:
the row answers `Again`, and takes part in another batch. And before a doubtful text stands, or is tried
again, Silero must hear somebody speak in the window; else it is silence, whatever the model made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faster_whisper.tokenizer import Tokenizer
from faster_whisper.utils import get_end

from protocol.errors import RequestError
from workers.engine.attempt import Attempt, better
from workers.engine.base import Again, Heard, Outcome, Row, Samples
from workers.engine.context import FULL, AudioContext
from workers.engine.hallucination import Surroundings, drop_hallucinations
from workers.engine.passage import Passage
from workers.engine.previous import with_context
from workers.engine.progress import Progress, decoded
from workers.engine.speech import holds_speech, restored
from workers.engine.vocabulary import Vocabulary
from workers.engine.words import Alignment, place_words


class Listener:
    """The seek loop of one row, one step at a time: `hear`, `place_words` if there are any, `go_on`."""

    def __init__(
        self,
        row: Row,
        vocabulary: Vocabulary,
        context: AudioContext = FULL,
        holds_speech: Callable[[Samples], bool] = holds_speech,
    ) -> None:
        self.options = row.options
        self.passage: Passage | None = None
        """What was heard in the current window and stands; None if that is nothing."""
        self._row = row
        self._vocabulary = vocabulary
        self._context = context
        self._holds_speech = holds_speech
        self._whisper = vocabulary.whisper
        self._features: Any = row.features
        self._so_far = decoded(row.progress) if row.progress is not None else self._beginning()
        self._next_seek = 0
        self._fails = False
        """Whether the current window is to be heard again, at the next temperature."""
        self._refusal = self._refused()

    @property
    def language(self) -> str | None:
        """None until it is detected."""
        return self._so_far.language

    @property
    def temperature(self) -> float:
        """At which the current window is decoded next."""
        return self.options.temperatures[self._so_far.failures]

    @property
    def is_listening(self) -> bool:
        """Whether there is audio left to hear in this call."""
        return self._refusal is None and not self._fails and self._so_far.seek < self._content_frames

    def window(self) -> Any:
        """The features to encode next: shape ``[n_mels, up to window_length]``, an array as the row's are."""
        return self._features[:, self._so_far.seek : self._so_far.seek + self._window_frames]

    @property
    def window_length(self) -> int:
        """At how many frames, zeros after those of the window, it is encoded; 3000 with the full context."""
        return self._context.padded(self._window_frames)

    def speaks(self, language: str, probability: float) -> None:
        """Take the language detected in the first window."""
        self._so_far.language = language
        self._so_far.language_probability = probability

    def prompt(self) -> list[int]:
        """The tokens to continue: previous text, what is asked for, prefix."""
        prompt: list[int] = self._whisper.get_prompt(
            self._tokenizer(),
            self._so_far.tokens[self._so_far.prompt_since :],
            without_timestamps=self.options.without_timestamps,
            prefix=self.options.prefix if self._so_far.seek == 0 else None,
            hotwords=self.options.hotwords,
        )
        return prompt

    def shape(self) -> tuple[float, int, int, int]:
        """What rows of one call share: temperature, window length, and where in a prompt of what length
        the text starts. None of them depends on the language.
        """
        prompt = self.prompt()
        start = prompt.index(self._tokenizer().sot)
        return self.temperature, self.window_length, start, len(prompt)

    def hear(self, result: Any) -> None:
        """Take the `WhisperGenerationResult` of the current window and decide what of it stands."""
        temperature, self.passage = self.temperature, None
        self._next_seek = self._so_far.seek + self._window_frames
        text = self._tokenizer().decode(result.sequences_ids[0])
        attempt = Attempt.of(result, text, self.options.length_penalty)
        if attempt.is_silence(self.options) or self._is_disbelieved(attempt):
            return
        if not attempt.is_good_enough(self.options):
            attempt = self._best_with(attempt)
            self._fails = self._so_far.failures < len(self.options.temperatures)
        if not self._fails and not attempt.is_silence(self.options):
            self._take(attempt, temperature)

    def place_words(self, alignment: Alignment) -> None:
        """Take the alignment of the passage; what was probably never said goes, if the caller wants that."""
        if self.passage is None:
            return
        place_words(self.passage, alignment, self.options, self._so_far.last_word_at)
        stands = True
        if self.options.hallucination_silence_threshold is not None:
            stands = drop_hallucinations(self.passage, self._surroundings())
        self._next_seek = self.passage.next_seek
        self.passage = self.passage if stands else None

    def go_on(self) -> None:
        """Keep what stands of the current window and move to the next, unless it is to be heard again."""
        if self._fails:
            return
        if self.passage is not None:
            self._keep(self.passage)
        self._move_to(self._next_seek)
        self._so_far.failures, self._so_far.best = 0, None
        self._refusal = self._refused()

    def outcome(self) -> Outcome:
        """What was heard, or that it must be heard again, or why the row was refused."""
        if self._refusal is not None:
            return self._refusal
        if self._fails:
            return Again(temperature=self.temperature, progress=self._so_far.encoded())
        segments, stretches = tuple(self._so_far.segments), self._row.stretches
        return Heard(
            text="".join(segment.text for segment in segments).strip(),
            language=self.language or "",
            language_probability=self._so_far.language_probability if self.language else 0.0,
            segments=restored(segments, stretches) if stretches is not None else segments,
            no_speech=not segments,
            warnings=tuple(self._so_far.warnings),
        )

    def _beginning(self) -> Progress:
        language = self.options.language if self._vocabulary.is_multilingual else "en"
        own = self._vocabulary.initial_tokens(self.options)
        before = self._vocabulary.text_tokens(self._row.context)
        return Progress(
            language=language, tokens=with_context(own, before, self._whisper.max_length // 2 - 1)
        )

    @property
    def _content_frames(self) -> int:
        # The extractor appends 160 samples of silence, faster-whisper leaves their frame out again.
        return int(self._features.shape[-1]) - 1

    @property
    def _window_frames(self) -> int:
        whole: int = self._whisper.feature_extractor.nb_max_frames
        return min(whole, self._content_frames - self._so_far.seek)

    def _tokenizer(self) -> Tokenizer:
        # Before detection any language gives a prompt of the right shape.
        return self._vocabulary.tokenizer(self.language or self._vocabulary.languages[0], self.options.task)

    def _refused(self) -> RequestError | None:
        try:
            self._vocabulary.check(self.options)
            if self._so_far.seek < self._content_frames:
                self._vocabulary.check_room(self.prompt(), self.options)
        except RequestError as error:
            return error
        return None

    def _is_disbelieved(self, attempt: Attempt) -> bool:
        """Whether a gate speaks against the text and Silero, asked once a window, hears nobody either."""
        is_asked = self.options.no_speech_threshold is not None and self._row.stretches is None
        if not is_asked or self._so_far.failures > 0 or not attempt.is_doubtful(self.options):
            return False
        hop = self._whisper.feature_extractor.hop_length
        return not self._holds_speech(self._row.samples[self._so_far.seek * hop : self._next_seek * hop])

    def _best_with(self, failed: Attempt) -> Attempt:
        """What stands if no further temperature helps."""
        self._so_far.failures += 1
        self._so_far.best = better(self._so_far.best, failed, self.options)
        return self._so_far.best

    def _take(self, attempt: Attempt, temperature: float) -> None:
        self.passage = Passage.of(
            attempt,
            whisper=self._whisper,
            tokenizer=self._tokenizer(),
            temperature=temperature,
            seek=self._so_far.seek,
            frames=self._window_frames,
        )
        self._next_seek = self.passage.next_seek

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            threshold=self.options.hallucination_silence_threshold or 0.0,
            last_word_at=self._so_far.last_word_at,
            content_frames=self._content_frames,
            window_frames=self._whisper.feature_extractor.nb_max_frames,
        )

    def _keep(self, passage: Passage) -> None:
        if self.options.word_timestamps and (ends_at := get_end(passage.parts)) is not None:
            self._so_far.last_word_at = float(ends_at)
        for segment in passage.segments(first_id=len(self._so_far.segments) + 1):
            self._so_far.segments.append(segment)
            self._so_far.tokens += segment.tokens
        is_sober = passage.temperature <= self.options.prompt_reset_on_temperature
        if not (self.options.condition_on_previous_text and is_sober):
            self._so_far.prompt_since = len(self._so_far.tokens)

    def _move_to(self, seek: int) -> None:
        if seek > self._so_far.seek:
            self._so_far.seek = seek
            return
        # faster-whisper would hear this window again for ever.
        stuck_at = self._so_far.seek * self._whisper.feature_extractor.time_per_frame
        self._so_far.warnings.append(
            f"the model's timestamps stand still at {stuck_at:.2f} s; the rest is unheard"
        )
        self._so_far.seek = self._content_frames
