"""What every engine promises, whatever is behind it: the fake one, and two real ones with the demo model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
from faster_whisper import decode_audio

from protocol.errors import RequestError
from protocol.options import Options
from protocol.request import MAX_SAMPLES, MIN_SAMPLES
from workers import demo
from workers.engine.base import Engine, Heard, Outcome, Samples
from workers.engine.context import Wish
from workers.engine.fake import FakeEngine
from workers.engine.faster_whisper import FasterWhisperEngine
from workers.engine.own import OwnEngine

GREEDY = Options(beam_size=1)


@dataclass(frozen=True)
class Subject:
    """An engine under test, and options for which it refuses a row."""

    engine: Engine
    refused: Options

    def run(self, *asked: tuple[Samples, Options]) -> list[Outcome]:
        return self.engine.run(self.engine.prepare_all(asked))


def faster_whisper(context: Wish) -> Engine:
    return FasterWhisperEngine(device="cpu", audio_context=context)


def torch(context: Wish, *, features_there: bool = False) -> Engine:
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    from workers.engine.torch.engine import TorchWhisperEngine

    return TorchWhisperEngine(
        device="cpu", cpu_threads=1, audio_context=context, features_there=features_there
    )


#: By name: the engine, and options for which it refuses a row. The demo model has no French.
SUBJECTS: dict[str, tuple[Callable[[], Engine], Options]] = {
    "fake": (FakeEngine, Options(beam_size=1, initial_prompt="refuse")),
    "the operator's own": (
        partial(OwnEngine, "tests.workers.own_engines:Plain", "m", device="cpu"),
        Options(beam_size=1, initial_prompt="refuse"),
    ),
    "full context": (partial(faster_whisper, "full"), Options(beam_size=1, language="fr")),
    "bucketed context": (partial(faster_whisper, "bucketed"), Options(beam_size=1, language="fr")),
    "torch, bucketed context": (partial(torch, "bucketed"), Options(beam_size=1, language="fr")),
    "torch, features on the device": (
        partial(torch, "bucketed", features_there=True),
        Options(beam_size=1, language="fr"),
    ),
}


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    make, refused = SUBJECTS[request.param]
    chosen = Subject(make(), refused)
    chosen.engine.load()
    return chosen


def clip(language: str, nth: int = 0) -> Samples:
    paths = [clip.path for clip in demo.speech() if clip.language == language]
    samples: Samples = decode_audio(str(paths[nth]))
    return samples


def heard(outcome: Outcome) -> Heard:
    assert isinstance(outcome, Heard)
    return outcome


def test_outcomes_stand_in_the_order_of_their_rows(subject: Subject) -> None:
    """A batch gives one outcome a row, each the one that its row gets alone."""
    asked = [(clip("en", nth), GREEDY) for nth in range(3)]
    alone = [heard(subject.run(one)[0]).text for one in asked]
    assert len(set(alone)) == 3
    assert [heard(outcome).text for outcome in subject.run(*asked)] == alone


def test_rows_prepared_together_are_those_prepared_one_by_one(subject: Subject) -> None:
    """In their order, each with what `prepare` makes of it alone, silence cut out or not."""
    asked = [(clip("en", nth), replace(GREEDY, vad_filter=nth == 1)) for nth in range(3)]
    together = subject.engine.prepare_all(asked)
    for row, (samples, options) in zip(together, asked, strict=True):
        alone = subject.engine.prepare(samples, options)
        assert row.samples is samples
        assert (row.options, row.stretches) == (options, alone.stretches)
        assert np.array_equal(row.features, alone.features)


def test_empty_batch_has_no_outcomes(subject: Subject) -> None:
    """No rows is no error."""
    assert subject.engine.prepare_all([]) == []
    assert subject.run() == []


def test_languages_mix_in_a_batch(subject: Subject) -> None:
    """Each row is answered in the language that its own options name."""
    languages = ["de", "en", "es", "en"]
    outcomes = subject.run(*((clip(code), Options(beam_size=1, language=code)) for code in languages))
    assert [heard(outcome).language for outcome in outcomes] == languages


def test_a_language_not_named_is_named_in_the_outcome(subject: Subject) -> None:
    """Rows with and without a language share a batch; every outcome has a language and how sure it is."""
    outcomes = subject.run((clip("en"), GREEDY), (clip("es"), Options(beam_size=1, language="es")))
    assert [heard(outcome).language for outcome in outcomes] == ["en", "es"]
    assert all(0.5 < heard(outcome).language_probability <= 1.0 for outcome in outcomes)


def test_prompts_of_different_length_share_a_batch(subject: Subject) -> None:
    """A row's text is that of its own prompt, however long those beside it are."""
    prompts = (None, "Madrid", "Turn on the lights in the kitchen. Turn off the radio.")
    asked = [(clip("en", nth), Options(beam_size=1, hotwords=said)) for nth, said in enumerate(prompts)]
    alone = [heard(subject.run(one)[0]).text for one in asked]
    assert [heard(outcome).text for outcome in subject.run(*asked)] == alone


def test_no_speech_means_no_text(subject: Subject) -> None:
    """Silence is an outcome like any other; `no_speech` says that its text is empty."""
    silence, speech = map(heard, subject.run((np.zeros(48_000, np.float32), GREEDY), (clip("en"), GREEDY)))
    assert silence.no_speech == (silence.text == "")
    assert silence.no_speech == (silence.segments == ())
    assert not speech.no_speech
    assert speech.text


def test_shortest_and_longest_audio_share_a_batch(subject: Subject) -> None:
    """Audio of 0.05 s and of 30 s is transcribed, and the clip between them reads as it does alone."""
    noise = np.random.default_rng(7).normal(0, 0.01, MAX_SAMPLES).astype(np.float32)
    [alone] = subject.run((clip("en"), GREEDY))
    outcomes = subject.run((noise[:MIN_SAMPLES], GREEDY), (clip("en"), GREEDY), (noise, GREEDY))
    assert all(isinstance(outcome, Heard) for outcome in outcomes)
    assert heard(outcomes[1]).text == heard(alone).text


def test_a_refused_row_harms_nobody(subject: Subject) -> None:
    """A row that cannot be served is refused; its neighbours read as they do without it."""
    first, last = (clip("en", 0), GREEDY), (clip("en", 1), GREEDY)
    without = [heard(outcome).text for outcome in subject.run(first, last)]
    outcomes = subject.run(first, (clip("en", 2), subject.refused), last)
    assert isinstance(outcomes[1], RequestError)
    assert [heard(outcomes[0]).text, heard(outcomes[2]).text] == without


def test_a_batch_of_refused_rows_is_no_error(subject: Subject) -> None:
    """When every row is refused, every row has its own error."""
    outcomes = subject.run(*[(clip("en", nth), subject.refused) for nth in range(2)])
    assert [type(outcome) for outcome in outcomes] == [RequestError, RequestError]


def test_segments_make_up_the_text(subject: Subject) -> None:
    """The segments, numbered from 1 and in order of time, hold exactly the text."""
    [outcome] = subject.run((clip("en"), GREEDY))
    segments = heard(outcome).segments
    assert [segment.id for segment in segments] == list(range(1, len(segments) + 1))
    assert all(segment.start < segment.end for segment in segments)
    assert "".join(segment.text for segment in segments).strip() == heard(outcome).text
