"""What a caller may ask for: faster-whisper's names and defaults, and a reason for each that is refused."""

import inspect
import json
from dataclasses import asdict
from typing import Any

import pytest
from faster_whisper import WhisperModel
from faster_whisper.vad import VadOptions

from protocol.errors import RequestError
from protocol.option_values import VAD_PARAMETERS
from protocol.options import OPTION_NAMES, REFUSED, Options
from tests.whisper_options import OURS

THEIRS = {
    name: parameter.default
    for name, parameter in inspect.signature(WhisperModel.transcribe).parameters.items()
    if name not in ("self", "audio")
}


def test_every_option_of_faster_whisper_is_taken_or_refused() -> None:
    """Nothing is left out in silence, and nothing is made up."""
    assert {*OPTION_NAMES} | {*REFUSED} == {*THEIRS} | OURS
    assert not {*OPTION_NAMES} & {*REFUSED}


def test_defaults_are_faster_whispers() -> None:
    """A request without options is what `WhisperModel.transcribe` does by default; lists are tuples here."""
    defaults = {name: tuple(value) if isinstance(value, list) else value for name, value in THEIRS.items()}
    assert asdict(Options()) == {name: defaults.get(name) for name in OPTION_NAMES}


def test_vad_parameters_are_faster_whispers() -> None:
    """By name."""
    assert [*VAD_PARAMETERS] == [*VadOptions.__dataclass_fields__]


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_option_is_named_with_its_reason(name: str) -> None:
    """Whoever moves over from faster-whisper learns why, and what to do instead."""
    with pytest.raises(RequestError, match=f"^{name} is not an option of a request: ") as caught:
        Options.of({name: True, "beam_size": 1})
    assert REFUSED[name] in caught.value.message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"best_of": 0}, "best_of is 0: expected a whole number from 1 to 20"),
        ({"temperature": 2.1}, "temperature is 2.1: expected a number from 0.0 to 2.0"),
        ({"temperature": []}, "temperature is (): expected a number, or 1 to 10 of them"),
        ({"temperature": [0.0, "hot"]}, "temperature is 'hot': expected a number from 0.0 to 2.0"),
        ({"temperature": [0.1] * 11}, "1 to 10 of them"),
        ({"temperature": True}, "temperature is True"),
        ({"compression_ratio_threshold": -1}, "compression_ratio_threshold is -1"),
        ({"prompt_reset_on_temperature": None}, "prompt_reset_on_temperature is None"),
        ({"suppress_tokens": [-2]}, "suppress_tokens is -2: expected a whole number from -1"),
        ({"suppress_tokens": "all"}, "suppress_tokens is 'all': expected none, or a list"),
        ({"suppress_tokens": [1] * 1_001}, "at most 1000 token numbers"),
        ({"word_timestamps": 1}, "word_timestamps is 1: expected true or false"),
        ({"prepend_punctuations": "(" * 101}, "expected text of at most 100 characters"),
        ({"append_punctuations": None}, "append_punctuations is None"),
        ({"hallucination_silence_threshold": -0.1}, "hallucination_silence_threshold is -0.1"),
        ({"vad_filter": "yes"}, "vad_filter is 'yes'"),
        ({"vad_parameters": 0.5}, "vad_parameters is 0.5: expected an object"),
        ({"vad_parameters": {"onset": 0.5}}, "vad_parameters is 'onset': expected names among threshold"),
        ({"vad_parameters": {"threshold": 2}}, "vad_parameters.threshold is 2: expected a number from 0.0"),
        ({"vad_parameters": {"speech_pad_ms": float("inf")}}, "vad_parameters.speech_pad_ms is inf"),
        ({"model_pref": ""}, "model_pref is '': expected a name of 1 to 64 letters"),
        ({"model_pref": "x" * 65}, "model_pref is 'x"),
        ({"model_pref": "../small"}, "model_pref is '../small'"),
        ({"model_pref": 1}, "model_pref is 1"),
    ],
)
def test_a_bad_value_is_named_with_its_limit(given: dict[str, Any], message: str) -> None:
    """The error says which option, what was given, and what would do."""
    with pytest.raises(RequestError) as caught:
        Options.of(given)
    assert message in caught.value.message
    assert caught.value.code == "BAD_OPTION"


def test_lists_come_back_from_json_equal() -> None:
    """A list is kept as a tuple, so that options can be compared and be part of a key."""
    options = Options.of(
        {"temperature": [0, 0.4], "suppress_tokens": [1, 2], "vad_parameters": {"threshold": 0.4}}
    )
    assert Options.of(json.loads(json.dumps(options.changes()))) == options
    assert (options.temperatures, options.suppress_tokens) == ((0, 0.4), (1, 2))
    assert isinstance(hash(options), int)


def test_a_single_temperature_is_a_list_of_one() -> None:
    """Then nothing is decoded twice."""
    assert Options(temperature=0.3).temperatures == (0.3,)


def test_options_do_not_change_behind_the_request() -> None:
    """What was checked is what counts, whatever the caller does with the object afterwards."""
    parameters = {"threshold": 0.4}
    options = Options(vad_parameters=parameters)
    parameters["threshold"] = 7.0
    assert options.vad_parameters == {"threshold": 0.4}


@pytest.mark.parametrize("name", ["fast", "x", "x" * 64, "large-v3.5_ours"])
def test_a_preference_may_be_any_name(name: str) -> None:
    """Which names there are, only a worker knows."""
    assert Options(model_pref=name).changes() == {"model_pref": name}
