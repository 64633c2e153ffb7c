"""Tests of `workers.outcome`."""

from celery.utils.saferepr import saferepr
from kombu.utils.json import dumps, loads

from workers.outcome import Encoded

TIMINGS = {"batch_id": "w/7", "batch_position": 1, "batch_size": 8}
PLAIN = {"text": "a secret", "language": "en", "segments": [{"text": "a secret"}], "timings": TIMINGS}


def test_a_transcript_reads_as_the_mapping_that_it_is() -> None:
    """Whoever gets it from a signal of Celery's finds what is stored."""
    transcript = Encoded(PLAIN)
    assert transcript == PLAIN
    assert dict(transcript) == PLAIN
    assert len(transcript) == len(PLAIN)
    assert transcript["text"] == "a secret"


def test_a_transcript_goes_into_messages_whole() -> None:
    """The next task of a chain gets what the client would get."""
    assert loads(dumps([Encoded(PLAIN)])) == [PLAIN]


def test_a_transcript_shows_where_it_ran_and_no_text() -> None:
    """What Celery writes into events, logs and headers is that, and nothing that was said."""
    assert saferepr((Encoded(PLAIN),)) == "(8 characters, en, batch w/7 (2 of 8),)"
    assert repr(Encoded({**PLAIN, "language": ""})) == "8 characters, batch w/7 (2 of 8)"
