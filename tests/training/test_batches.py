"""Examples as arrays."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest

from training.batches import FULL_FRAMES, NO_LABEL, Batch, endless_batches, load_corpus
from training.examples import Corpus
from training.flac import write_flac
from training.manifest import Clip, write_manifest
from training.tokenizer import Vocabulary


@pytest.fixture(scope="module")
def batches(corpus: Corpus, vocabulary: Vocabulary) -> list[Batch]:
    return list(islice(endless_batches(corpus, vocabulary, Random(1), size=4), 30))


def rows(batches: list[Batch]) -> Iterator[tuple[Batch, int]]:
    for batch in batches:
        for row in range(len(batch.frames)):
            yield batch, row


def test_padding_is_zeros_up_to_the_longest(batches: list[Batch]) -> None:
    """After a row's own frames come zeros, as faster-whisper pads; the longest row has hardly any."""
    for batch, row in rows(batches):
        assert not batch.features[row, :, batch.frames[row] :].any()
    for batch in batches:
        width = batch.features.shape[2]
        assert width % 2 == 0
        assert width in (FULL_FRAMES, batch.frames.max(), batch.frames.max() + 1)


def test_some_batches_have_the_whole_window(batches: list[Batch]) -> None:
    """Stock callers pad to 30 s, so the model must have seen that; mostly it is cut short, to be quick."""
    whole = sum(batch.features.shape[2] == FULL_FRAMES for batch in batches)
    assert 0 < whole < 10


def test_a_batch_holds_rows_of_similar_length(batches: list[Batch]) -> None:
    """Sorting within a pool keeps padding low: far less than the spread of all examples."""
    within = np.mean([np.ptp(batch.frames) for batch in batches])
    overall = np.ptp(np.concatenate([batch.frames for batch in batches]))
    assert within < overall / 3


def test_loss_is_taken_on_what_is_to_be_said(batches: list[Batch], vocabulary: Vocabulary) -> None:
    """Every label is the next input, and none comes before `<|startoftranscript|>`."""
    start = vocabulary.special("startoftranscript")
    for batch, row in rows(batches):
        inputs, labels = batch.inputs[row].tolist(), batch.labels[row].tolist()
        first = inputs.index(start)
        assert labels[:first] == [NO_LABEL] * first
        said = [label for label in labels[first:] if label != NO_LABEL]
        assert said[:-1] == inputs[first + 1 : first + len(said)]
        assert said[-1] in (vocabulary.special("endoftext"), vocabulary.special("nospeech"))


def test_a_folder_is_loaded_by_language(tmp_path: Path) -> None:
    """The corpus has each clip's text and samples under its language."""
    samples = np.arange(1000, dtype=np.int16)
    write_flac(tmp_path / "a.flac", samples)
    write_manifest(tmp_path, [Clip(file="a.flac", language="es", text="Muchas gracias.", samples=1000)])
    corpus = load_corpus(tmp_path)
    assert list(corpus) == ["es"]
    (one,) = corpus["es"]
    assert one.text == "Muchas gracias."
    assert np.array_equal(one.samples, samples)
