"""The packaged demo: clips are what their manifest says."""

import av

from workers import demo


def test_every_clip_lasts_as_long_as_its_manifest_says() -> None:
    """All clips are there, mono at 16 kHz, and none is cut."""
    for clip in demo.speech():
        with av.open(str(clip.path)) as container:
            [stream] = container.streams.audio
            assert (stream.rate, stream.channels, stream.duration) == (16_000, 1, clip.samples)


def test_three_languages_are_mixed() -> None:
    """The first batch of a demo already holds more than one language."""
    languages = [clip.language for clip in demo.speech()]
    assert set(languages) == {"en", "es", "de"}
    assert len(set(languages[:8])) > 1


def test_every_clip_has_words() -> None:
    """Word error rates divide by the number of words."""
    assert all(clip.text.split() for clip in demo.speech())
