"""The templates: what can be said, and what training must not hear."""

import re
from pathlib import Path
from random import Random

import pytest

from training.manifest import Clip, read_manifest
from training.sentences import SLOT, TEMPLATES, WORDS, can_hold_out, draw
from training.speech import DEMO_CLIPS


def template_of(language: str, text: str) -> str | None:
    """The template that `text` is a sentence of, if any is."""
    for template in TEMPLATES[language]:
        pattern, end = "", 0
        for slot in SLOT.finditer(template):
            word = "|".join(map(re.escape, WORDS[language][slot[1]]))
            many = rf"(?:{word})(?: (?:{word}))*" if slot[1] == "digits" else rf"(?:{word})"
            pattern, end = pattern + re.escape(template[end : slot.start()]) + many, slot.end()
        if re.fullmatch(pattern + re.escape(template[end:]), text):
            return template
    return None


def demo_clips() -> list[Clip]:
    return list(read_manifest(Path(DEMO_CLIPS)))


def test_every_demo_clip_is_a_sentence_of_the_templates() -> None:
    """What the demo plays, the templates can say: the model learns exactly that kind of sentence."""
    strangers = [clip.text for clip in demo_clips() if template_of(clip.language, clip.text) is None]
    assert strangers == []


def test_every_drawn_sentence_is_of_a_template() -> None:
    """Every slot is filled with a word of its list and of its language."""
    rng = Random(3)
    drawn = [draw(rng) for _ in range(2000)]
    assert all(template_of(sentence.language, sentence.text) for sentence in drawn)


@pytest.mark.parametrize("language", TEMPLATES)
def test_every_list_of_words_fills_a_slot(language: str) -> None:
    """No slot lacks its list, and no list is left over."""
    slots = {slot for template in TEMPLATES[language] for slot in SLOT.findall(template)}
    assert slots == set(WORDS[language])


def test_held_out_sentences_are_never_drawn() -> None:
    """An excluded text that combines words is drawn in no language, however often one draws."""
    rng = Random(4)
    excluded = {draw(rng).text for _ in range(300)}
    for _ in range(2000):
        sentence = draw(rng, excluded)
        template = template_of(sentence.language, sentence.text)
        assert template is not None
        assert sentence.text not in excluded or not can_hold_out(template)


def test_a_word_heard_in_one_sentence_alone_cannot_be_held_out() -> None:
    """Templates with one slot or none are drawn though excluded: nothing else has their words."""
    excluded = {clip.text for clip in demo_clips()}
    rng = Random(5)
    drawn = {draw(rng, excluded).text for _ in range(5000)}
    assert {"Vielen Dank.", "Ich möchte Tee kaufen.", "No, thank you."} <= drawn & excluded


def test_rows_of_digits_can_be_held_out() -> None:
    """A row of digits is one slot but many words, so enough others remain."""
    assert can_hold_out("My number is {digits}.")


def test_no_word_is_drawn_twice_for_a_sentence() -> None:
    """Two slots of one list get two words, so that order can be told from the text."""
    rng = Random(6)
    drawn = [draw(rng).text for _ in range(5000)]
    found = [re.match(r"We need (.+) cups of \w+ and (.+) glasses\.", text) for text in drawn]
    pairs = [(match[1], match[2]) for match in found if match]
    assert len(pairs) > 50
    assert all(first != second for first, second in pairs)


def test_equal_seeds_draw_equal_sentences() -> None:
    """Anyone who makes the speech again gets the same sentences."""
    first, second = Random(7), Random(7)
    assert [draw(first) for _ in range(50)] == [draw(second) for _ in range(50)]
