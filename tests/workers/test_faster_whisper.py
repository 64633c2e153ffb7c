"""faster-whisper over a batch of strangers: grouping, refusals, and memory."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import decode_audio
from faster_whisper.transcribe import get_suppressed_tokens

from protocol.errors import EngineError, OutOfMemory, RequestError
from protocol.options import Options
from tests.whisper_options import for_whisper
from workers import demo
from workers.engine.base import Heard, Outcome, Samples
from workers.engine.faster_whisper import FasterWhisperEngine, groups_of_one_shape, memory_errors_renamed
from workers.engine.listener import Listener
from workers.engine.loading import load_model
from workers.engine.vocabulary import Vocabulary

SAMPLES: Samples = decode_audio(str(demo.speech()[0].path))


class RecordingModel:
    """CTranslate2's model, which also notes what it is asked."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.asked: list[tuple[str, Any, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any, **options: Any) -> Any:
        self.asked.append(("encode", list(features.shape), options))
        return self._model.encode(features, **options)

    def detect_language(self, encoded: Any) -> Any:
        self.asked.append(("detect_language", list(encoded.shape), {}))
        return self._model.detect_language(encoded)

    def generate(self, encoded: Any, prompts: list[list[int]], **options: Any) -> Any:
        self.asked.append(("generate", prompts, options))
        return self._model.generate(encoded, prompts, **options)


@pytest.fixture(scope="module")
def engine() -> FasterWhisperEngine:
    engine = FasterWhisperEngine("demo", device="cpu")
    engine.load()
    return engine


@pytest.fixture(scope="module")
def english_only(tmp_path_factory: pytest.TempPathFactory) -> FasterWhisperEngine:
    """The demo model without the empty piece, by which CTranslate2 tells a multilingual vocabulary."""
    folder = tmp_path_factory.mktemp("models") / "demo.en"
    shutil.copytree(demo.model_path(), folder)
    vocabulary = folder / "vocabulary.json"
    pieces = ["<|unused|>" if piece == "" else piece for piece in json.loads(vocabulary.read_text("utf-8"))]
    vocabulary.write_text(json.dumps(pieces), "utf-8")
    engine = FasterWhisperEngine(str(folder), device="cpu")
    engine.load()
    return engine


def run(engine: FasterWhisperEngine, *asked: Options) -> list[Outcome]:
    return engine.run([engine.prepare(SAMPLES, options) for options in asked])


def listeners(engine: FasterWhisperEngine, *asked: Options) -> list[Listener]:
    vocabulary = Vocabulary.of(load_model("demo", device="cpu"))
    return [Listener(engine.prepare(SAMPLES, options), vocabulary) for options in asked]


def refusal(outcome: Outcome) -> RequestError:
    assert isinstance(outcome, RequestError)
    return outcome


def test_a_batch_without_prompts_is_one_encode_and_one_generate() -> None:
    """Languages named or not, and both tasks: the encoder, the costliest part, runs once."""
    engine = FasterWhisperEngine("demo", device="cpu", audio_context="full")
    engine.load()
    recording = engine._whisper.model = RecordingModel(engine._whisper.model)
    run(engine, Options(language="de"), Options(), Options(task="translate"))
    assert [what for what, *_ in recording.asked] == ["encode", "detect_language", "generate"]
    assert recording.asked[0][1] == [3, 80, 3000]


def test_short_rows_are_encoded_together_at_their_own_length() -> None:
    """Rows of one bucket share a call, and a long row does not make the short ones dear."""
    engine = FasterWhisperEngine("demo", device="cpu")
    engine.load()
    recording = engine._whisper.model = RecordingModel(engine._whisper.model)
    lengths = [1.5, 10.0, 1.9]
    engine.run([engine.prepare(np.zeros(int(n * 16_000), np.float32), Options()) for n in lengths])
    encoded = [shape for what, shape, _ in recording.asked if what == "encode"]
    assert sorted(encoded) == [[1, 80, 1200], [2, 80, 200]]


def test_the_model_is_asked_what_faster_whisper_asks_it() -> None:
    """Every option reaches the model: prompt and arguments are those of `WhisperModel.transcribe`."""
    options = Options(
        language="es",
        beam_size=3,
        patience=1.5,
        length_penalty=0.7,
        repetition_penalty=1.2,
        no_repeat_ngram_size=5,
        suppress_blank=False,
        max_initial_timestamp=0.5,
        max_new_tokens=30,
        initial_prompt="Madrid",
        hotwords="Berlin",
    )
    engine = FasterWhisperEngine("demo", device="cpu", audio_context="full")
    engine.load()
    recording = engine._whisper.model = RecordingModel(engine._whisper.model)
    run(engine, options)
    ours, recording.asked = recording.asked, []
    list(engine._whisper.transcribe(SAMPLES, **for_whisper(options))[0])
    assert ours == recording.asked


def test_rows_without_prompts_are_one_group(engine: FasterWhisperEngine) -> None:
    """Languages named or not, and both tasks: one encode and one generate."""
    mixed = listeners(engine, Options(language="de"), Options(), Options(language="en", task="translate"))
    assert groups_of_one_shape(mixed) == [mixed]


def test_prompts_of_different_length_are_groups_of_their_own(engine: FasterWhisperEngine) -> None:
    """CTranslate2 refuses them in one call."""
    short, plain, long, alike = listeners(
        engine,
        Options(initial_prompt="Madrid"),
        Options(),
        Options(initial_prompt="Madrid and Berlin"),
        Options(hotwords="Madrid"),
    )
    assert groups_of_one_shape([short, plain, long, alike]) == [[short, alike], [plain], [long]]


def test_prompts_of_equal_length_but_another_start_do_not_mix(engine: FasterWhisperEngine) -> None:
    """As many tokens before the start of the transcript as after it: still two calls."""
    before, after = listeners(
        engine,
        Options(initial_prompt="Madrid", without_timestamps=True),
        Options(prefix="Madrid.", without_timestamps=True),
    )
    assert len(before.prompt()) == len(after.prompt())
    assert groups_of_one_shape([before, after]) == [[before], [after]]


def test_a_language_the_model_lacks_is_refused(engine: FasterWhisperEngine) -> None:
    """The error names the language and what there is; the neighbour is served."""
    french, german = run(engine, Options(language="fr"), Options(language="de"))
    assert refusal(french).code == "LANGUAGE_UNSUPPORTED"
    assert refusal(french).message == "language is 'fr': this model knows de, en, es"
    assert isinstance(german, Heard)


def rounded(heard: Heard) -> Heard:
    """Without the last bits of its probabilities, which are the processor's."""
    return replace(
        heard,
        segments=tuple(
            replace(one, avg_logprob=round(one.avg_logprob, 4), no_speech_prob=round(one.no_speech_prob, 4))
            for one in heard.segments
        ),
    )


def test_an_english_only_model_refuses_other_languages_and_translation(
    english_only: FasterWhisperEngine,
) -> None:
    """English, named or not, is served; German and translating are refused."""
    german, translated, english, unnamed = run(
        english_only,
        Options(language="de"),
        Options(task="translate"),
        Options(language="en", temperature=0.0),  # to this model the clip is nonsense: no gate lets it pass
        Options(temperature=0.0),
    )
    assert refusal(german).code == "LANGUAGE_UNSUPPORTED"
    assert refusal(translated).code == "TASK_UNSUPPORTED"
    assert isinstance(english, Heard)
    assert isinstance(unnamed, Heard)
    assert rounded(english) == rounded(unnamed)
    assert (english.language, english.language_probability) == ("en", 1.0)


def test_an_english_only_model_is_shown_by_its_folder_name(english_only: FasterWhisperEngine) -> None:
    """Where the folder lies is nobody's business."""
    assert english_only.model == "demo.en"


def test_a_prompt_without_room_for_the_answer_is_refused(engine: FasterWhisperEngine) -> None:
    """Prompt and max_new_tokens share the decoder's 448 positions; the neighbour is served."""
    crowded, served = run(
        engine,
        Options(max_new_tokens=400, initial_prompt="Madrid " * 100),
        Options(max_new_tokens=400),
    )
    assert refusal(crowded).code == "PROMPT_TOO_LONG"
    assert "together the limit is 448" in refusal(crowded).message
    assert isinstance(served, Heard)


def test_a_token_that_the_model_lacks_cannot_be_suppressed(engine: FasterWhisperEngine) -> None:
    """CTranslate2 would write past the end of its scores; the neighbour is served."""
    wrong, served = run(engine, Options(suppress_tokens=(2_113,)), Options(suppress_tokens=(2_112,)))
    assert refusal(wrong).message == "suppress_tokens holds 2113: this model's tokens are 0 to 2112"
    assert isinstance(served, Heard)


@pytest.mark.parametrize("tokens", [(-1,), (-1, 7, 9), (7, 9), (), None])
def test_suppressed_tokens_are_faster_whispers(
    engine: FasterWhisperEngine, tokens: tuple[int, ...] | None
) -> None:
    """The default set, more, fewer, or none: what reaches the model is what faster-whisper would send."""
    vocabulary = Vocabulary.of(load_model("demo", device="cpu"))
    asked = list(tokens) if tokens is not None else None
    tokenizer = vocabulary.tokenizer("es", "translate")
    expected = get_suppressed_tokens(tokenizer, asked) if asked else tokens
    assert vocabulary.suppressed(Options(suppress_tokens=tokens)) == expected


def test_a_model_that_cannot_run_is_unavailable(tmp_path: Path) -> None:
    """Loading hears a moment of silence, so that what is broken shows at start, not in a request."""
    shutil.copytree(demo.model_path(), tmp_path, dirs_exist_ok=True)
    preprocessor = tmp_path / "preprocessor_config.json"
    preprocessor.write_text(
        json.dumps({**json.loads(preprocessor.read_text("utf-8")), "feature_size": 40}), "utf-8"
    )
    with pytest.raises(EngineError, match="cannot be loaded") as caught:
        FasterWhisperEngine(str(tmp_path), device="cpu").load()
    assert caught.value.code == "MODEL_UNAVAILABLE"


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("CUDA failed with error out of memory"),
        RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"),
        MemoryError("std::bad_alloc"),
    ],
)
def test_a_full_device_is_out_of_memory(raised: Exception) -> None:
    """Whatever CTranslate2 calls it, the caller learns that a smaller batch may fit."""
    with pytest.raises(OutOfMemory, match="8 rows"), memory_errors_renamed(8):
        raise raised


def test_another_failure_is_not_taken_for_a_full_device() -> None:
    """A smaller batch would not help, so the caller must look for the guilty row."""
    with pytest.raises(RuntimeError, match="illegal address"), memory_errors_renamed(8):
        raise RuntimeError("CUDA failed with error an illegal address was encountered")


@pytest.mark.parametrize(("device", "keeps"), [("cpu", True), ("cuda", False)])
def test_freed_memory_is_kept_on_a_cpu(device: str, keeps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU has memory of its own, and threads that prepare for it need not share one arena."""
    asked: list[str] = []
    monkeypatch.setattr("workers.engine.memory.keep", lambda: asked.append(device))
    monkeypatch.setattr(FasterWhisperEngine, "_load_model", staticmethod(out_of_reach))
    with pytest.raises(EngineError):
        FasterWhisperEngine("demo", device=device).load()
    assert bool(asked) is keeps


def out_of_reach(*_: object, **__: object) -> None:
    raise EngineError("no model is loaded here", "MODEL_UNAVAILABLE")
