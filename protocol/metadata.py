"""Notes of a caller's own, which go with a request and come back with its transcript."""

from __future__ import annotations

from collections.abc import Mapping

from protocol.errors import RequestError

#: How many notes a request may have, and how long their names and they may be, in characters: what OpenAI's
#: and Stripe's interfaces allow their `metadata`.
MAX_NOTES, MAX_NAME, MAX_NOTE = 16, 64, 512


def check_metadata(metadata: object) -> dict[str, str] | None:
    """Return a copy of `metadata` if a request may have it, or None for none; else raise `RequestError`."""
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        raise _refused(f"is {repr(metadata)[:40]}: expected a mapping from text to text")
    if len(metadata) > MAX_NOTES:
        raise _refused(f"has {len(metadata)} entries, the limit is {MAX_NOTES}")
    return {
        _checked(name, MAX_NAME, "name"): _checked(note, MAX_NOTE, "value") for name, note in metadata.items()
    }


def _checked(text: object, longest: int, what: str) -> str:
    if not isinstance(text, str):
        raise _refused(f"has the {what} {repr(text)[:40]}: expected text")
    if len(text) > longest:
        raise _refused(f"has a {what} of {len(text)} characters, the limit is {longest}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(f"has the {what} {ascii(text)[:40]}, which cannot be written as UTF-8") from None
    return text


def _refused(why: str) -> RequestError:
    return RequestError(f"metadata {why}", "BAD_METADATA")
