"""Tests of `protocol.fast_json`."""

import json

import pytest

from protocol.fast_json import dumps, loads


@pytest.mark.parametrize("text", ['"\\ud800"', "[NaN]", '{"a": [1, null, "ü"]}'])
def test_it_reads_what_pythons_own_reads(text: str) -> None:
    """Whatever Python's module takes for JSON is read, half a surrogate pair and NaN among it."""
    assert repr(loads(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize("value", ["\ud800", {"a": 2**70}, {1: "a"}])
def test_it_writes_what_pythons_own_writes(value: object) -> None:
    """Plain data that orjson refuses is written as Python's module writes it."""
    assert dumps(value) == json.dumps(value).encode()


def test_nan_becomes_null() -> None:
    """There is no NaN in JSON, and readers in other languages break on it."""
    assert dumps({"avg_logprob": float("nan")}) == b'{"avg_logprob":null}'


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"nonsense"])
def test_nonsense_is_a_value_error(text: bytes) -> None:
    """What is no JSON raises what Python's module raises, which callers expect."""
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        loads(text)


def test_what_is_nested_too_deeply_is_told_apart() -> None:
    """A bomb of brackets ends in the error that whoever reads strangers' messages waits for."""
    with pytest.raises(RecursionError):
        loads(b"[" * 100_000)


def test_what_is_no_plain_data_is_a_type_error() -> None:
    """Nothing is guessed about objects."""
    with pytest.raises(TypeError):
        dumps({"a": object()})
