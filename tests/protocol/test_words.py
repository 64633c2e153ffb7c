"""Words in a transcript: they go over the wire, and stand where readers look for them."""

import json
from dataclasses import replace

from protocol.transcript import Segment, Transcript, Word
from protocol.wire import decode_transcript, encode_transcript

WORDS = (
    Word(start=0.1, end=0.5, word=" Good", probability=0.9),
    Word(start=0.5, end=1.0, word=" morning.", probability=0.8),
)
SEGMENT = Segment(id=1, start=0.1, end=1.0, text=" Good morning.", tokens=(1, 2), words=WORDS)
TRANSCRIPT = Transcript(
    request_id="a",
    text="Good morning.",
    language="en",
    language_probability=0.9,
    duration=1.2,
    segments=(SEGMENT,),
)


def test_words_come_back_equal() -> None:
    """Through JSON, as from Redis."""
    assert decode_transcript(json.loads(json.dumps(encode_transcript(TRANSCRIPT)))) == TRANSCRIPT


def test_without_words_the_field_is_left_out() -> None:
    """So a result is no larger for what nobody asked for, and one from before there were words is read."""
    without = replace(TRANSCRIPT, segments=(replace(SEGMENT, words=None),))
    encoded = encode_transcript(without)
    assert "words" not in encoded["segments"][0]
    assert decode_transcript(encoded) == without


def test_verbose_json_has_openais_words() -> None:
    """A list beside the segments, with `word`, `start` and `end`; none if nobody asked for words."""
    assert json.loads(TRANSCRIPT.to("verbose_json"))["words"] == [
        {"word": "Good", "start": 0.1, "end": 0.5},
        {"word": "morning.", "start": 0.5, "end": 1.0},
    ]
    without = replace(TRANSCRIPT, segments=(replace(SEGMENT, words=None),))
    assert "words" not in json.loads(without.to("verbose_json"))


def test_json_has_the_words_of_each_segment() -> None:
    """With how sure the model is of each."""
    [segment] = json.loads(TRANSCRIPT.to("json"))["segments"]
    assert segment["words"][0] == {"start": 0.1, "end": 0.5, "word": " Good", "probability": 0.9}
