"""A tokenizer and a few clips, made once."""

from random import Random

import numpy as np
import pytest

from training.examples import Corpus, Spoken
from training.sentences import draw
from training.tokenizer import Vocabulary, build


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Sentences enough to fit 600 pieces to."""
    rng = Random(1)
    return [draw(rng).text for _ in range(3000)]


@pytest.fixture(scope="session")
def vocabulary(texts: list[str]) -> Vocabulary:
    """The tokenizer of those sentences."""
    return Vocabulary(build(texts))


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """A few sentences in each of two languages, "spoken" as loud noise of half a second to a second."""
    sound = np.random.default_rng(1)

    def spoken(text: str) -> Spoken:
        samples = sound.integers(-30_000, 30_000, sound.integers(8_000, 16_000))
        return Spoken(text=text, samples=samples.astype(np.int16))

    return {
        "en": [spoken(text) for text in ("No, thank you.", "Stop the music now.", "Yes, that is right.")],
        "de": [spoken(text) for text in ("Vielen Dank.", "Wo ist die rote Tür?")],
    }
