"""faster-whisper over a batch of strangers: rows that share an engine call and nothing else.

A round: the windows of all unfinished rows are encoded together, the language of each row that did not
name one is detected in that same encoder output, and text is generated with a prompt a row, so that
languages and tasks mix. CTranslate2 demands that the transcript starts at the same place in every
prompt and takes one maximum length a call, so rows whose prompts differ in shape go in groups, and so do
rows whose windows are encoded at different lengths (`context`); at full context a batch without prompts
is one group, hence one encode and one generate. On a CPU a small model's groups are cut once more and run
side by side, one on each core (`lanes`). A row whose audio is not at its end takes part in the
next round; one whose text is not good enough leaves with `Again`.

Equal to alone: at temperature 0, float32 and full context each row's text is what
`WhisperModel.transcribe` gives for that audio segment alone. Two deliberate differences: alone,
faster-whisper detects the language in a second encoding that shows one more frame (10 ms of padding)
than generation sees, where here both use one; and a doubtful text stands only where Silero hears
somebody speak (`listener`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor

from protocol.errors import OutOfMemory
from protocol.options import Options
from protocol.request import MIN_SAMPLES
from workers.engine import memory
from workers.engine.base import Asked, Engine, Outcome, Row, Samples, prepared
from workers.engine.context import AudioContext, Wish, chosen_context, padded_windows
from workers.engine.features import LogMel
from workers.engine.lanes import Lanes, pieces_of
from workers.engine.listener import Listener
from workers.engine.loading import (
    chosen_device,
    is_out_of_memory,
    load_model,
    unavailable,
)
from workers.engine.naming import model_folder, shown_name
from workers.engine.speech import joined, stretches_of_speech
from workers.engine.vocabulary import Vocabulary
from workers.engine.words import align

#: What a call costs beside its rows: as much as encoding so many frames. The text takes its steps one after
#: the other, and a small model's take much the same time for one row and for four.
CALL_FRAMES = 300.0

#: What CTranslate2 and torch write when a kernel has failed: CUDA then refuses all further calls of the
#: process (CUDA's `cudaErrorIllegalAddress`, `cudaErrorLaunchFailure`, `cudaErrorAssert` and the like).
_LOST = ("cuda failed with error", "cuda error:", "cuda driver error")

#: The features of no audio: the one frame that every extractor adds, and that is not heard.
_NO_FRAMES = np.zeros((1, 1), np.float32)


class DeviceLost(RuntimeError):
    """CUDA has failed in this process, for good: every later call would fail too."""


class FasterWhisperEngine(Engine):
    """The seam over `faster_whisper.WhisperModel`; `load` comes before all else."""

    _load_model: Callable[..., WhisperModel] = staticmethod(partial(load_model, side_by_side=True))
    _chosen_device: Callable[[str], str] = staticmethod(chosen_device)

    def __init__(
        self,
        model: str = "demo",
        *,
        device: str = "auto",
        compute_type: str = "auto",
        cpu_threads: int = 0,
        audio_context: Wish = "auto",
    ) -> None:
        """The arguments are those of `load_model` and `chosen_context`; nothing is loaded yet."""
        self.model = shown_name(model)
        self._device = device
        self._choose_context = partial(chosen_context, audio_context, model_folder(model))
        self._load = partial(
            self._load_model, model, device=device, compute_type=compute_type, cpu_threads=cpu_threads
        )
        self._whisper: WhisperModel
        self._context: AudioContext
        self._log_mel: Callable[[Samples], Any]
        self._vocabulary: Vocabulary
        self._lanes: Lanes
        self._hands: ThreadPoolExecutor
        self._cores = cpu_threads or os.cpu_count() or 1

    def load(self) -> None:
        """Load the weights and hear a moment of silence.

        Raises:
            EngineError: `MODEL_UNAVAILABLE`, with the model and the reason.
        """
        if self._chosen_device(self._device) == "cpu":
            memory.keep()
        self._whisper = self._load()
        self._lanes = Lanes(self._whisper.model.num_workers)
        self._hands = ThreadPoolExecutor(self._cores, thread_name_prefix="prepare")
        self._context = self._choose_context()
        try:
            self._vocabulary = Vocabulary.of(self._whisper)
            self._log_mel = self._features_of(self._whisper.feature_extractor)
            silence = np.zeros(MIN_SAMPLES, np.float32)
            self._run([self.prepare(silence, Options()), self.prepare(silence, Options(vad_filter=True))])
        except (RuntimeError, ValueError, OutOfMemory) as error:  # such as a CUDA library missed only in use
            raise unavailable(self.model, error) from error

    def unload(self) -> None:
        """Give back the memory of the weights; `prepare` goes on working."""
        self._whisper.model.unload_model()
        self._lanes.close()
        self._hands.shutdown()
        memory.give_back()

    def _features_of(self, extractor: FeatureExtractor) -> Callable[[Samples], Any]:
        """What `prepare` makes of the samples that are heard."""
        return LogMel(extractor)

    def prepare(self, samples: Samples, options: Options) -> Row:
        """Compute the log-mel features as faster-whisper does: ``[n_mels, n_frames]``, float32.

        With `vad_filter` those of the stretches with speech, one after the other.
        """
        if not options.vad_filter:
            return Row(samples=samples, options=options, features=self._log_mel(samples))
        stretches = stretches_of_speech(samples, options.vad_parameters)
        features = self._log_mel(joined(samples, stretches)) if stretches else _NO_FRAMES
        return Row(samples=samples, options=options, features=features, stretches=stretches)

    def prepare_all(self, asked: Sequence[Asked]) -> list[Row]:
        """`prepare` each, in order, on all cores: no call runs meanwhile that would use them."""
        if len(asked) == 1:
            return [prepared(self, *asked[0])]
        return list(self._hands.map(lambda one: prepared(self, *one), asked))

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """One outcome for each row, in order; see the head of this module.

        Raises:
            OutOfMemory: the device, or this process, could not hold the batch.
            SystemExit: the device answers no more, nor would it the next batch: only another process can
                have it again.
        """
        try:
            return self._run(rows)
        except DeviceLost as error:
            raise SystemExit(f"the engine process ends, for its device is lost: {error}") from error

    def _run(self, rows: Sequence[Row]) -> list[Outcome]:
        listeners = [Listener(row, self._vocabulary, self._context) for row in rows]
        while listening := [listener for listener in listeners if listener.is_listening]:
            groups = self._groups(listening)
            pieces = pieces_of(groups, self._lanes.count, cost=window_length, call=CALL_FRAMES)
            self._lanes.run(self._listen, pieces)
        return [listener.outcome() for listener in listeners]

    def _groups(self, listeners: Sequence[Listener]) -> list[list[Listener]]:
        """Listeners that may share one `encode` and one `generate`."""
        return groups_of_one_shape(listeners)

    def _longest(self, prompts: Sequence[Sequence[int]], options: Options) -> Any:
        """How long prompt and text may become in a group: in CTranslate2 one value for all its rows."""
        return longest(prompts[0], options, self._whisper.max_length)

    def _listen(self, group: Sequence[Listener]) -> None:
        with memory_errors_renamed(len(group)):
            encoded = self._whisper.encode(self._windows(group))
            self._detect_languages(encoded, group)
            results = self._generate(encoded, group)
            for listener, result in zip(group, results, strict=True):
                listener.hear(result)
            self._place_words(encoded, group)
        for listener in group:
            listener.go_on()

    def _windows(self, group: Sequence[Listener]) -> Any:
        """The features to encode: shape ``[rows, n_mels, window_length]``."""
        return padded_windows([listener.window() for listener in group], group[0].window_length)

    def _detect_languages(self, encoded: Any, group: Sequence[Listener]) -> None:
        if all(listener.language for listener in group):
            return
        found = self._whisper.model.detect_language(encoded)
        for listener, ((token, probability), *_) in zip(group, found, strict=True):
            if listener.language is None:
                listener.speaks(token.strip("<|>"), probability)

    def _generate(self, encoded: Any, group: Sequence[Listener]) -> list[Any]:
        prompts = [listener.prompt() for listener in group]
        shared, temperature = group[0].options, group[0].temperature  # `compatibility_key`, and the group
        results: list[Any] = self._whisper.model.generate(
            encoded,
            prompts,
            **search(shared, temperature),
            length_penalty=shared.length_penalty,
            repetition_penalty=shared.repetition_penalty,
            no_repeat_ngram_size=shared.no_repeat_ngram_size,
            max_length=self._longest(prompts, shared),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=shared.suppress_blank,
            suppress_tokens=self._vocabulary.suppressed(shared),
            max_initial_timestamp_index=round(shared.max_initial_timestamp / self._whisper.time_precision),
        )
        return results

    def _place_words(self, encoded: Any, group: Sequence[Listener]) -> None:
        if not group[0].options.word_timestamps:  # equal in all rows
            return
        alignments = align(self._whisper, encoded, [listener.passage for listener in group])
        for listener, alignment in zip(group, alignments, strict=True):
            listener.place_words(alignment)


def search(options: Options, temperature: float) -> dict[str, Any]:
    """How CTranslate2 looks for the text: beams at temperature 0, samples above, as faster-whisper does."""
    if temperature == 0:
        return {"beam_size": options.beam_size, "patience": options.patience}
    return {
        "beam_size": 1,
        "num_hypotheses": options.best_of,
        "sampling_topk": 0,
        "sampling_temperature": temperature,
    }


def longest(prompt: Sequence[int], options: Options, most: int) -> int:
    """How many tokens a prompt and its text may have together, of at most `most`."""
    return most if options.max_new_tokens is None else len(prompt) + options.max_new_tokens


def groups_of_one_shape(
    listeners: Sequence[Listener], shape: Callable[[Listener], Hashable] = Listener.shape
) -> list[list[Listener]]:
    """Listeners that may share one `encode` and one `generate`, in order of first appearance."""
    groups: dict[Hashable, list[Listener]] = {}
    for listener in listeners:
        groups.setdefault(shape(listener), []).append(listener)
    return list(groups.values())


def window_length(listener: Listener) -> int:
    """What its next window costs: encoding it, in frames; the text is short."""
    return listener.window_length


@contextmanager
def memory_errors_renamed(n_rows: int) -> Iterator[None]:
    """Turn what CTranslate2 and torch raise when memory runs out into `OutOfMemory`, and when the device is
    lost into `DeviceLost`; let anything else pass.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"{n_rows} rows do not fit into the device's memory") from error
        if any(sign in str(error).lower() for sign in _LOST):
            raise DeviceLost(str(error)) from error
        raise
