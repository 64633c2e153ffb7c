"""Rules of key files and signatures."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RequestError
from protocol.signing import SHORTEST, BadKeys, check_signature, read_keys, sign

SECRET = b"s" * SHORTEST
KEYS = {"one": SECRET, "two": b"t" * SHORTEST}
ARGUMENTS = {"v": 1, "audio": {"key": "segue:audio:a", "digest": "0" * 32, "samples": 800}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def signed(keys: dict[str, bytes], **more: object) -> dict[str, object]:
    arguments = {**ARGUMENTS, **more}
    return {**arguments, "signature": sign(keys, "id", arguments)}


@given(json_values)
def test_what_was_signed_is_accepted(value: object) -> None:
    """Whatever the arguments hold, in any order of their names."""
    arguments = signed(KEYS, options=value)
    check_signature(KEYS, "id", dict(reversed(arguments.items())))


def test_first_key_signs_and_all_are_accepted() -> None:
    """So that keys can be changed while requests wait."""
    assert str(signed(KEYS)["signature"]).startswith("one:")
    check_signature(KEYS, "id", signed({"two": KEYS["two"]}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"signature": None},
        {"signature": "one"},
        {"signature": "one:"},
        {"signature": "one:é"},
        {"signature": ["one"]},
        {"signature": "three:" + "0" * 64},
        {"v": 2},
        {"audio": {**ARGUMENTS["audio"], "samples": 801}},  # type: ignore[dict-item]
        {"expires": 1},
    ],
    ids=str,
)
def test_anything_else_is_refused(wrong: dict[str, object]) -> None:
    """No signature, an unknown key, another content."""
    with pytest.raises(RequestError) as refused:
        check_signature(KEYS, "id", {**signed(KEYS), **wrong})
    assert refused.value.code == "BAD_SIGNATURE"


def test_signature_is_for_one_id() -> None:
    """What was signed for one request is none for another."""
    with pytest.raises(RequestError):
        check_signature(KEYS, "other", signed(KEYS))


def test_audio_must_be_covered() -> None:
    """Audio under a key without a digest could be exchanged for other audio."""
    with pytest.raises(RequestError, match="digest"):
        check_signature(KEYS, "id", signed(KEYS, audio={"key": "segue:audio:a"}))


def test_key_file_has_a_key_a_line(tmp_path: Path) -> None:
    """In their order; comments and empty lines are none."""
    file = tmp_path / "keys"
    file.write_text(f"# a comment\n\ntwo:{'t' * SHORTEST}\none:{'s' * SHORTEST}\n")
    assert list(read_keys(file).items()) == [("two", b"t" * SHORTEST), ("one", SECRET)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no key"),
        ("one:" + "s" * (SHORTEST - 1), "line 1"),
        (f"# c\none two:{'s' * SHORTEST}", "line 2"),
        (f"one:{'s' * SHORTEST}\none:{'t' * SHORTEST}", "line 2"),
        ("secret", "line 1"),
    ],
)
def test_bad_key_file_is_named_without_its_secrets(tmp_path: Path, text: str, why: str) -> None:
    """The message says which line of which file, and shows nothing of it."""
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(BadKeys, match=why) as refused:
        read_keys(file)
    assert "sss" not in str(refused.value)
    with pytest.raises(BadKeys, match="cannot be read"):
        read_keys(tmp_path / "none")
