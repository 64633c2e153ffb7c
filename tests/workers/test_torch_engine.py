"""The torch engine against the faster-whisper engine: the same model, the same text."""

import json
import struct
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import decode_audio
from faster_whisper.audio import pad_or_trim
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import EngineError, OutOfMemory
from protocol.options import Options
from workers import demo
from workers.engine.base import Engine, Heard, Outcome, Row, Samples
from workers.engine.choice import whisper_engine
from workers.engine.faster_whisper import DeviceLost, FasterWhisperEngine
from workers.engine.loading import load_model

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

from safetensors.torch import save_file  # noqa: E402 # only where torch is

from workers.engine.torch.alignment import cheapest_way  # noqa: E402
from workers.engine.torch.engine import TorchWhisperEngine  # noqa: E402
from workers.engine.torch.graphs import Graphs, Step  # noqa: E402
from workers.engine.torch.hearing import Hearing  # noqa: E402
from workers.engine.torch.loading import TorchWhisper, load_whisper  # noqa: E402
from workers.engine.torch.rules import repeating  # noqa: E402
from workers.engine.torch.weights import read_weights  # noqa: E402

SURE = Options(beam_size=1, temperature=0.0)

START, ENGLISH, TRANSCRIBE, PREVIOUS, NO_TIMESTAMPS, FIRST_TIMESTAMP = 602, 603, 607, 609, 611, 612
"""Of the demo model."""


@pytest.fixture(scope="module")
def ours() -> Engine:
    engine = TorchWhisperEngine(device="cpu", cpu_threads=1)
    engine.load()
    return engine


@pytest.fixture(scope="module")
def reference() -> Engine:
    engine = FasterWhisperEngine(device="cpu", cpu_threads=1)
    engine.load()
    return engine


@pytest.fixture(scope="module")
def models() -> tuple[Any, TorchWhisper]:
    return load_model("demo", device="cpu", cpu_threads=1), load_whisper("demo", device="cpu", cpu_threads=1)


def spoken(nth: int) -> Samples:
    samples: Samples = decode_audio(str(demo.speech()[nth].path))
    return samples


def heard(engine: Engine, asked: list[tuple[Samples, Options]]) -> list[Heard]:
    outcomes = engine.run([engine.prepare(samples, options) for samples, options in asked])
    assert all(isinstance(outcome, Heard) for outcome in outcomes), outcomes
    return outcomes  # type: ignore[return-value]  # just asserted


def reading(one: Heard) -> tuple[Any, ...]:
    """What must be equal: all but probabilities, which are rounded on the way."""
    parts = [(part.start, part.end, part.text, part.tokens) for part in one.segments]
    return one.text, one.language, one.no_speech, parts


@pytest.mark.parametrize(
    "shared",
    [
        SURE,
        replace(SURE, beam_size=5),
        replace(SURE, without_timestamps=True),
        replace(SURE, max_new_tokens=20),
    ],
    ids=["greedy", "beams", "without timestamps", "cut short"],
)
def test_text_is_that_of_the_faster_whisper_engine(ours: Engine, reference: Engine, shared: Options) -> None:
    """Languages named and detected, prompts, hotwords and prefixes of many lengths, silence: in one batch."""
    clips = demo.speech()
    changes: list[dict[str, Any]] = [
        {},
        {"language": clips[1].language},
        {"initial_prompt": "Turn on the lights. Please play some music in the kitchen."},
        {"hotwords": "Madrid Laura"},
        {"language": clips[4].language, "prefix": clips[4].text.split()[0]},
        {"language": clips[5].language, "task": "translate"},
    ]
    asked = [(spoken(nth), replace(shared, **change)) for nth, change in enumerate(changes)]
    asked.append((np.zeros(20_000, np.float32), shared))
    asked.append((np.concatenate([spoken(8), np.zeros(8_000, np.float32), spoken(9)]), shared))
    assert list(map(reading, heard(ours, asked))) == list(map(reading, heard(reference, asked)))


def test_packaged_clips_read_alike(ours: Engine, reference: Engine) -> None:
    """The language detected, in one batch: no text differs, nor any time."""
    asked = [(spoken(nth), SURE) for nth in range(20)]
    assert list(map(reading, heard(ours, asked))) == list(map(reading, heard(reference, asked)))


def test_a_cpu_has_its_features_made_ahead(ours: Engine) -> None:
    """Unless it is told otherwise: NumPy makes them faster there, and beside the call."""
    assert ours.prepare(spoken(0), SURE).features.shape[0] == 80


def test_features_made_by_the_device_read_alike(reference: Engine) -> None:
    """Speech, silence, silence cut out, a window that begins inside; samples go to the call as they are."""
    engine = TorchWhisperEngine(device="cpu", cpu_threads=1, features_there=True)
    engine.load()
    cut_short = np.concatenate([spoken(8), np.zeros(8_000, np.float32), spoken(9)])
    asked = [
        *((spoken(nth), SURE) for nth in range(4)),
        (np.concatenate([np.zeros(32_000, np.float32), spoken(4)]), replace(SURE, vad_filter=True)),
        (np.zeros(20_000, np.float32), replace(SURE, vad_filter=True)),
        (np.zeros(20_000, np.float32), SURE),
        (cut_short, SURE),
    ]
    assert engine.prepare(*asked[0]).features is asked[0][0]
    assert list(map(reading, heard(engine, asked))) == list(map(reading, heard(reference, asked)))


def test_words_are_placed_alike(ours: Engine, reference: Engine) -> None:
    """Every word of six clips starts and ends when faster-whisper says, and is as likely."""
    asked = [(spoken(nth), replace(SURE, word_timestamps=True)) for nth in range(6)]
    for one, other in zip(heard(ours, asked), heard(reference, asked), strict=True):
        found, expected = (
            [word for segment in each.segments for word in segment.words or ()] for each in (one, other)
        )
        assert [(word.word, word.start, word.end) for word in found] == [
            (word.word, word.start, word.end) for word in expected
        ]
        likely = [word.probability for word in expected]
        assert [word.probability for word in found] == pytest.approx(likely, abs=1e-3)


@pytest.mark.parametrize(
    "wish",
    [
        {"beam_size": 1},
        {"beam_size": 1, "repetition_penalty": 1.3},
        {"beam_size": 1, "no_repeat_ngram_size": 2},
        {"beam_size": 1, "suppress_tokens": [442, 261, 13]},
        {"beam_size": 1, "suppress_blank": False, "max_initial_timestamp_index": 5},
        {"beam_size": 3, "patience": 2.0, "length_penalty": 0.6},
        {"beam_size": 4, "length_penalty": 0.0, "repetition_penalty": 1.2},
        {"beam_size": 2, "no_repeat_ngram_size": 1, "max_length": 15},
        {"beam_size": 2, "max_length": 6},  # no longer than the longest prefix
        {"beam_size": 1, "max_length": 6},
    ],
    ids=lambda wish: " ".join(f"{name}={value}" for name, value in wish.items()),
)
@pytest.mark.parametrize("prefix", [[], [443, 458]], ids=["no prefix", "prefix"])
@pytest.mark.parametrize("with_timestamps", [True, False])
def test_the_search_is_that_of_ctranslate2(
    models: tuple[Any, TorchWhisper], wish: dict[str, Any], prefix: list[int], with_timestamps: bool
) -> None:
    """Text, score and no-speech probability, token for token, of speech in noise, where much is in doubt."""
    theirs, own = models
    noise = np.random.default_rng(4).normal(0, 0.02, 40_000).astype(np.float32)
    features = np.stack(
        [
            pad_or_trim(theirs.feature_extractor(samples)[:, :-1], 300)
            for samples in (spoken(0)[:40_000], noise)
        ]
    )
    asked = [START, ENGLISH, TRANSCRIBE, *([] if with_timestamps else [NO_TIMESTAMPS])]
    prompt = [*asked, *([FIRST_TIMESTAMP] if with_timestamps and prefix else []), *prefix]
    given = {"max_length": 60, "return_scores": True, "return_no_speech_prob": True, **wish}
    expected = theirs.model.generate(theirs.encode(features), [prompt, prompt], **given)
    found = own.model.generate(own.encode(features), [prompt, prompt], **given)
    for one, other in zip(found, expected, strict=True):
        assert one.sequences_ids[0] == other.sequences_ids[0]
        assert one.scores[0] == pytest.approx(other.scores[0], abs=1e-3)
        assert one.no_speech_prob == pytest.approx(other.no_speech_prob, abs=1e-4)


def test_a_text_drawn_near_temperature_0_is_the_likeliest(models: tuple[Any, TorchWhisper]) -> None:
    """Dividing by a small temperature leaves the likeliest token alone, in each text that is drawn."""
    _, own = models
    encoded = own.encode(pad_or_trim(own.feature_extractor(spoken(0))[:, :-1], 300)[None])
    prompt = [START, ENGLISH, TRANSCRIBE]
    [likeliest] = own.model.generate(encoded, [prompt], max_length=60)
    [drawn] = own.model.generate(
        encoded, [prompt], max_length=60, num_hypotheses=3, sampling_temperature=0.01
    )
    assert drawn.sequences_ids == likeliest.sequences_ids * 3
    assert drawn.scores == pytest.approx(likeliest.scores * 3, rel=1e-4)


def test_a_hot_text_is_one_of_many(models: tuple[Any, TorchWhisper]) -> None:
    """At a high temperature texts differ, and stand in order of their scores."""
    _, own = models
    encoded = own.encode(pad_or_trim(own.feature_extractor(spoken(0))[:, :-1], 300)[None])
    wish: dict[str, Any] = {"num_hypotheses": 5, "sampling_temperature": 1.5, "max_length": 60}
    [drawn] = own.model.generate(encoded, [[START, ENGLISH, TRANSCRIBE]], **wish)
    assert len({tuple(text) for text in drawn.sequences_ids}) > 1
    assert drawn.scores == sorted(drawn.scores, reverse=True)


@pytest.mark.parametrize("wish", [{"beam_size": 1}, {"beam_size": 3}, {"beam_size": 1, "max_length": 90}])
def test_steps_in_a_fixed_place_say_the_same(models: tuple[Any, TorchWhisper], wish: dict[str, Any]) -> None:
    """What a GPU records and replays, run without recording: prompts of two lengths, three rows, twice."""
    own = models[1].model
    fixed = copy(own)
    fixed._graphs = Graphs(own.network, record=False)
    features = [pad_or_trim(models[1].feature_extractor(spoken(nth))[:, :-1], 300) for nth in (0, 3, 6, 9)]
    prompts = [[START, ENGLISH, TRANSCRIBE], [PREVIOUS, 443, 458, START, ENGLISH, TRANSCRIBE]]
    for first in (0, 1):
        encoded = own.encode(np.stack(features[first : first + 3]))
        asked = [prompts[0], prompts[1], prompts[0]]
        wished = {"max_length": 448, **wish}
        found = fixed.generate(encoded, asked, **wished)
        expected = own.generate(encoded, asked, **wished)
        assert [one.sequences_ids for one in found] == [one.sequences_ids for one in expected]


@pytest.mark.parametrize("beam_size", [1, 5])
@pytest.mark.parametrize("in_place", [False, True], ids=["", "in a fixed place"])
def test_a_row_that_has_ended_goes_on_beyond_the_last_position(
    models: tuple[Any, TorchWhisper], beam_size: int, *, in_place: bool
) -> None:
    """A long prompt beside a text that does not end: the first row is over long before, and fed on.

    On a GPU a position too many would cost the process.
    """
    own = copy(models[1].model)
    own._graphs = Graphs(own.network, record=False) if in_place else None
    features = [pad_or_trim(models[1].feature_extractor(spoken(nth))[:, :-1], 300) for nth in (0, 3)]
    encoded = own.encode(np.stack(features))
    prompts = [[PREVIOUS, *[443, 458] * 111, START, ENGLISH, TRANSCRIBE], [START, ENGLISH, TRANSCRIBE]]
    wish: dict[str, Any] = {"beam_size": beam_size, "suppress_tokens": (own._symbols.end,)}
    found = own.generate(encoded, prompts, max_length=[448, 448], **wish)
    alone = [
        own.generate(encoded[nth : nth + 1], [prompt], max_length=[448], **wish)[0]
        for nth, prompt in enumerate(prompts)
    ]
    assert [one.sequences_ids for one in found] == [one.sequences_ids for one in alone]
    assert len(prompts[0]) + len(found[1].sequences_ids[0]) > 448


class Tight(TorchWhisperEngine):
    """On a device without room for a call while steps are held; or for none at all."""

    calls = 0
    is_full = False

    def _run_once(self, rows: Sequence[Row]) -> list[Outcome]:
        self.calls += 1
        if self.is_full or self._whisper.model.holds_steps:
            raise OutOfMemory("full")
        return super()._run_once(rows)


def test_recorded_steps_make_room_for_a_call() -> None:
    """They only save time: a batch is not halved, nor a size remembered, for what they hold."""
    engine = Tight(device="cpu", cpu_threads=1)
    engine.load()
    model = engine._whisper.model
    model._graphs = Graphs(model.network, record=False)
    first = heard(engine, [(spoken(0), SURE)])
    assert model.holds_steps
    engine.calls = 0
    assert list(map(reading, heard(engine, [(spoken(0), SURE)]))) == list(map(reading, first))
    assert engine.calls == 2
    engine.is_full = True
    with pytest.raises(OutOfMemory):
        heard(engine, [(spoken(0), SURE)])
    assert not model.holds_steps
    engine.calls = 0
    with pytest.raises(OutOfMemory):
        heard(engine, [(spoken(0), SURE)])
    assert engine.calls == 1


def test_steps_are_kept_as_long_as_there_is_room(models: tuple[Any, TorchWhisper]) -> None:
    """The one that was used longest ago goes, before the next is made; one alone may be too large."""
    own = models[1].model
    features = pad_or_trim(models[1].feature_extractor(spoken(0))[:, :-1], 300)
    hearings = [
        Hearing(own.network.hear(own.encode(np.stack([features] * rows))), padding=[0] * rows, length=32)
        for rows in (1, 2, 4)
    ]
    one, two, four = (hearing.n_bytes for hearing in hearings)
    assert (two, four) == (2 * one, 4 * one)
    graphs = Graphs(own.network, record=False, most_bytes=3 * one)
    first, second = graphs.step(hearings[0]), graphs.step(hearings[1])
    assert graphs.step(hearings[0]) is first
    assert graphs.step(hearings[1]) is second
    third = graphs.step(hearings[2])
    assert graphs.step(hearings[2]) is third
    assert graphs.step(hearings[0]) is not first


class Unrecordable(Step):
    """Fails to be recorded, by what `error` says."""

    error: Exception

    def _recorded(self) -> Any:
        raise self.error


def test_a_step_that_cannot_be_recorded_runs_as_it_is(
    models: tuple[Any, TorchWhisper], caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says so; too little memory is for whoever can make room."""
    own = models[1].model
    encoded = own.encode(pad_or_trim(models[1].feature_extractor(spoken(0))[:, :-1], 300)[None])
    hearing = Hearing(own.network.hear(encoded), padding=[0], length=32)
    Unrecordable.error = RuntimeError("CUDA error: operation not permitted when stream is capturing")
    step = Unrecordable(own.network, hearing, record=True)
    step.place.move(hearing)
    logits = step(torch.tensor([START])).clone()
    assert torch.equal(
        logits, own.network.logits(own.network.decode(torch.tensor([[START]]), hearing)[:, -1])
    )
    assert "is not recorded, and runs slower" in caplog.text
    Unrecordable.error = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError):
        Unrecordable(own.network, hearing, record=True)


def test_prompts_of_any_length_share_one_call(ours: Engine) -> None:
    """Rows with and without a prompt are one group; CTranslate2 would need one for each length."""
    prompts = (None, "Madrid", "Turn on the lights in the kitchen.")
    rows = [ours.prepare(spoken(0), replace(SURE, initial_prompt=one)) for one in prompts]
    from workers.engine.listener import Listener

    assert isinstance(ours, TorchWhisperEngine)
    listeners = [Listener(row, ours._vocabulary, ours._context) for row in rows]
    assert ours._groups(listeners) == [listeners]


def test_weights_in_transformers_format_are_the_same_model(
    tmp_path: Path, models: tuple[Any, TorchWhisper]
) -> None:
    """A folder with `model.safetensors` gives what the converted one gives, be it in one file or two."""
    own = models[1]
    folder = in_transformers_format(tmp_path)
    features = np.random.default_rng(1).normal(0, 1, (1, 80, 200)).astype(np.float32)
    loaded = load_whisper(str(folder), device="cpu")
    stored = read_weights(demo.model_path()).tensors
    assert all(torch.equal(values, stored[name]) for name, values in read_weights(folder).tensors.items())
    torch.testing.assert_close(loaded.encode(features), own.encode(features))  # the last bits are the CPU's
    assert loaded.model.is_multilingual
    first, *_ = loaded.model.detect_language(loaded.encode(features))
    assert dict(first) == pytest.approx(dict(own.model.detect_language(own.encode(features))[0]), rel=1e-4)


def in_transformers_format(folder: Path) -> Path:
    """The demo model as transformers would save it, cut in two."""
    source = demo.model_path()
    weights = read_weights(source)
    tensors = {
        name: values.contiguous() for name, values in weights.tensors.items() if name != "proj_out.weight"
    }
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for part, held in parts.items():
        save_file({name: tensors[name] for name in held}, folder / part)
    index = {"weight_map": {name: part for part, held in parts.items() for name in held}}
    said = json.loads((source / "config.json").read_text(encoding="utf-8"))
    languages = {"<|en|>": 603, "<|es|>": 604, "<|de|>": 605}
    files = {
        "model.safetensors.index.json": index,
        "config.json": {"model_type": "whisper", "encoder_attention_heads": 4, "decoder_attention_heads": 4},
        "generation_config.json": {
            "lang_to_id": languages,
            "alignment_heads": said["alignment_heads"],
            "begin_suppress_tokens": said["suppress_ids_begin"],
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for name in ("tokenizer.json", "preprocessor_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    return folder


def of_another_kind(folder: Path) -> str:
    (folder / "config.json").write_text('{"model_type": "bart"}', encoding="utf-8")
    return "'bart', expected 'whisper'"


def of_an_old_version(folder: Path) -> str:
    (folder / "model.bin").write_bytes(struct.pack("<I", 3))
    return "version 3 of its format, expected 6"


def without_weights(folder: Path) -> str:
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return "neither model.safetensors nor model.bin"


@pytest.mark.parametrize("spoiled", [of_another_kind, of_an_old_version, without_weights])
def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, spoiled: Callable[[Path], str]) -> None:
    """The reason says what was found and what was expected."""
    reason = spoiled(tmp_path)
    with pytest.raises(EngineError, match=reason) as caught:
        load_whisper(str(tmp_path), device="cpu")
    assert caught.value.code == "MODEL_UNAVAILABLE"


@pytest.mark.parametrize(
    ("name", "asked", "reason"),
    [
        ("bsae", {}, "none of tiny, tiny.en"),
        ("./no-such-folder", {}, "there is no such folder"),
        ("demo", {"compute_type": "int8"}, "'int8': the torch engine has float32, float16, bfloat16"),
        ("demo", {"device": "tpu"}, "tpu"),
    ],
)
def test_what_cannot_be_loaded_is_named(name: str, asked: dict[str, Any], reason: str) -> None:
    """A size, folder, type or device that there is not is answered with the value, and what there is."""
    with pytest.raises(EngineError, match=reason) as caught:
        load_whisper(name, **{"device": "cpu", **asked})
    assert caught.value.code == "MODEL_UNAVAILABLE"


def test_bfloat16_reads_as_float32_does(reference: Engine) -> None:
    """Half the bits cost none of four clips its text."""
    engine = whisper_engine("torch")("demo", device="cpu", compute_type="bfloat16", cpu_threads=1)
    engine.load()
    asked = [(spoken(nth), SURE) for nth in range(4)]
    texts = [one.text for one in heard(engine, asked)]
    assert texts == [one.text for one in heard(reference, asked)]


def test_an_unloaded_model_may_be_loaded_again() -> None:
    """Weights leave the memory and come back; in between a batch is an error, and no crash."""
    engine = TorchWhisperEngine(device="cpu", cpu_threads=1)
    engine.load()
    row = engine.prepare(spoken(0), SURE)
    engine.unload()
    with pytest.raises(RuntimeError, match="not loaded"):
        engine.run([row])
    engine.load()
    assert heard(engine, [(spoken(0), SURE)])[0].text == demo.speech()[0].text


class Broken(TorchWhisperEngine):
    """An engine whose device is lost in every batch."""

    def _run(self, rows: Any) -> Any:
        raise DeviceLost(f"{len(rows)} rows: CUDA error: an illegal memory access was encountered")


def test_a_lost_device_ends_the_process() -> None:
    """CUDA never recovers within a process, so the process says why and goes; another takes its place."""
    with pytest.raises(SystemExit, match="illegal memory access"):
        Broken("demo").run([])


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
def test_what_follows_a_repeated_beginning_is_forbidden(said: list[int], size: int) -> None:
    """A token is forbidden exactly if it would make a sequence of that size appear twice."""
    pieces = {tuple(said[at : at + size]) for at in range(len(said) - size + 1)}
    forbidden = {token for token in range(4) if (*said, token)[-size:] in pieces}
    assert repeating(said, size) == (forbidden if len(said) >= size else set())


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1_000))
def test_the_way_through_an_alignment_is_the_cheapest(tokens: int, positions: int, seed: int) -> None:
    """No other way from the first token and position to the last costs less."""
    costs = np.random.default_rng(seed).random((tokens, positions), np.float32)
    way = cheapest_way(costs)
    assert way[0] == (0, 0)
    assert way[-1] == (tokens - 1, positions - 1)
    assert sum(costs[at] for at in way) == pytest.approx(lowest(costs, 0, 0), abs=1e-5)


def lowest(costs: Any, token: int, position: int) -> float:
    """The cost of the cheapest way from here to the end, by trying all."""
    if (token + 1, position + 1) == costs.shape:
        return float(costs[token, position])
    steps = [(token + down, position + right) for down, right in product((0, 1), (0, 1)) if down or right]
    inside = [step for step in steps if step[0] < costs.shape[0] and step[1] < costs.shape[1]]
    return float(costs[token, position]) + min(lowest(costs, *step) for step in inside)
