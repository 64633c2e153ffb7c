"""The figures of an evaluation."""

from training.evaluate import Heard, evaluate
from training.manifest import Clip


def test_languages_are_counted_apart_and_together() -> None:
    """A wrong word counts in its own language and in all; so do a text and a language told wrong."""
    clips = [
        Clip(file="a", language="en", text="Stop the music now.", samples=1),
        Clip(file="b", language="de", text="Vielen Dank.", samples=1),
    ]
    heard = [Heard(language="en", text=" Stop the music now."), Heard(language="en", text=" Vielen Tank.")]
    german, english, together = evaluate(clips, heard)
    assert "de       1 of     2 words wrong,  50.00%; 0 of 1 texts exact, language right in 0" in german
    assert "en       0 of     4 words wrong,   0.00%; 1 of 1 texts exact, language right in 1" in english
    assert "all      1 of     6 words wrong,  16.67%; 1 of 2 texts exact, language right in 1" in together
