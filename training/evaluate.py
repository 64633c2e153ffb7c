"""Word error rate of a converted model on a folder of speech, greedy, through faster-whisper.

    python -m training.evaluate MODEL_DIR SPEECH_DIR

Twice over: with the full 30 s context, as `WhisperModel.transcribe` gives it, and in batches whose
context is cut to the longest row, as Segue can. And once on silence and noise, where nothing is to
be heard. float32, whatever the weights are stored as.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_ctranslate2_storage, get_suppressed_tokens
from numpy.typing import NDArray

from training.flac import SAMPLE_RATE, as_floats, read_flac
from training.manifest import NAME, Clip, read_manifest
from training.word_errors import word_errors, words

Samples = NDArray[np.float32]
BATCH = 8
#: Standard deviations of white noise, as shares of full scale: silence to loud hiss.
NOISES = (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the model heard in one clip."""

    language: str
    text: str


def hear_alone(model: WhisperModel, samples: Samples) -> Heard:
    """Transcribe one clip with the full context."""
    stretches, info = model.transcribe(
        samples, beam_size=1, temperature=0.0, condition_on_previous_text=False
    )
    return Heard(language=info.language, text="".join(stretch.text for stretch in stretches))


def hear_together(model: WhisperModel, rows: Sequence[Samples]) -> list[Heard]:
    """Transcribe clips in one batch whose context is cut to its longest row."""
    features = [model.feature_extractor(row)[:, :-1] for row in rows]
    longest = max(row.shape[1] for row in features)
    padded = np.stack([np.pad(row, ((0, 0), (0, longest + longest % 2 - row.shape[1]))) for row in features])
    encoded = model.model.encode(get_ctranslate2_storage(padded))
    languages = [odds[0][0].strip("<|>") for odds in model.model.detect_language(encoded)]
    tokenizers = [
        Tokenizer(model.hf_tokenizer, multilingual=True, task="transcribe", language=language)
        for language in languages
    ]
    results = model.model.generate(
        encoded,
        [[*tokenizer.sot_sequence, tokenizer.no_timestamps] for tokenizer in tokenizers],
        beam_size=1,
        suppress_tokens=get_suppressed_tokens(tokenizers[0], [-1]),
    )
    return [
        Heard(language=language, text=tokenizer.decode(result.sequences_ids[0]))
        for language, tokenizer, result in zip(languages, tokenizers, results, strict=True)
    ]


def evaluate(clips: Sequence[Clip], heard: Sequence[Heard]) -> Iterator[str]:
    """A line for each language and one for all: word errors, and languages told right."""
    for group in [*sorted({clip.language for clip in clips}), "all"]:
        chosen = [pair for pair in zip(clips, heard, strict=True) if group in (pair[0].language, "all")]
        said = sum(len(words(clip.text)) for clip, _ in chosen)
        errors = sum(word_errors(words(clip.text), words(result.text)) for clip, result in chosen)
        exact = sum(clip.text == result.text.strip() for clip, result in chosen)
        told = sum(clip.language == result.language for clip, result in chosen)
        yield (
            f"  {group:4} {errors:5} of {said:5} words wrong, {errors / said:7.2%}; "
            f"{exact} of {len(chosen)} texts exact, language right in {told}"
        )


def count_heard_in_nothing(model: WhisperModel) -> int:
    """How many of silence and six noises, 5 s each, the model hears a text in."""
    rng = np.random.default_rng(1)
    sounds = [np.float32(noise) * rng.standard_normal(5 * SAMPLE_RATE, np.float32) for noise in NOISES]
    return sum(bool(hear_alone(model, sound).text) for sound in sounds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("speech", type=Path, metavar="SPEECH_DIR")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    model = WhisperModel(
        str(options.model), device="cpu", compute_type="float32", cpu_threads=options.threads
    )
    clips = list(read_manifest(options.speech / NAME))
    samples = [as_floats(read_flac(options.speech / clip.file)) for clip in clips]
    print("full context, one by one:")
    print(*evaluate(clips, [hear_alone(model, one) for one in samples]), sep="\n")
    batches = [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
    print(f"context cut to the longest of {BATCH}:")
    print(*evaluate(clips, [heard for batch in batches for heard in hear_together(model, batch)]), sep="\n")
    print(f"a text heard in {count_heard_in_nothing(model)} of {len(NOISES)} sounds of silence and noise")


if __name__ == "__main__":
    main()
