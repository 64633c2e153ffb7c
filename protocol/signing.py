"""Signed requests: whoever can write to Redis but has no key cannot have a worker run anything.

A key file has a line ``<name>:<secret>`` for each key. The first one signs, all of them are accepted: to
change keys, put the new one second everywhere, then first, then remove the old one. What is signed is the id
and all that the message asks for, with a digest of the audio where it lies under a key of its own. The
priority, the headers of Celery and results are not signed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from protocol.errors import RequestError

#: Names the key file, on both sides.
VARIABLE = "SEGUE_SIGNING_KEYS_FILE"

#: Shortest secret, in characters: 32 of hexadecimal are 128 bits.
SHORTEST = 32

#: Bytes of the digest of a payload: as much as of the ids that we make.
DIGEST_BYTES = 16

Keys: TypeAlias = Mapping[str, bytes]
"""Secrets by name, the one that signs first."""

_LINE = re.compile(rf"([A-Za-z0-9_-]{{1,32}}):(\S{{{SHORTEST},}})")


class BadKeys(ValueError):
    """The key file cannot be used; the message says which line, and never a secret."""


def read_keys(path: Path) -> Keys:
    """The keys of a file. Raises `BadKeys`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeys(f"the key file {path} cannot be read: {type(error).__name__}") from None
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or found[1] in keys:
            raise BadKeys(
                f"line {number} of the key file {path}: expected name:secret, each name once,"
                f" the secret at least {SHORTEST} characters"
            )
        keys[found[1]] = found[2].encode()
    if not keys:
        raise BadKeys(f"the key file {path} holds no key")
    return keys


def keys_from_environment() -> Keys | None:
    """The keys of the file that `VARIABLE` names, read once; None if it names none. Raises `BadKeys`."""
    path = os.environ.get(VARIABLE)
    return _read_once(path) if path else None


def sign(keys: Keys, request_id: str, arguments: Mapping[str, Any]) -> str:
    """The signature of a request, by the first of `keys`; `arguments` are the task's, without a signature."""
    name = next(iter(keys))
    return f"{name}:{_mac(keys[name], request_id, arguments)}"


def check_signature(keys: Keys, request_id: str, arguments: Mapping[str, Any]) -> None:
    """Make sure that one of `keys` has signed exactly this. Raises `RequestError`."""
    signature = arguments.get("signature")
    name, _, mac = str(signature).partition(":")
    if signature is None or name not in keys:
        raise RequestError("the request is not signed by a key that is known here", "BAD_SIGNATURE")
    if not hmac.compare_digest(mac.encode(), _mac(keys[name], request_id, arguments).encode()):
        raise RequestError("the request is not as it was signed", "BAD_SIGNATURE")
    audio = arguments.get("audio")
    if not isinstance(audio, Mapping) or not ({"base64", "digest"} & set(audio)):
        raise RequestError("the signature does not cover the audio: its digest is missing", "BAD_SIGNATURE")


def digest_of(payload: bytes) -> str:
    """By which a payload is known to be the one that was signed."""
    return hashlib.blake2b(payload, digest_size=DIGEST_BYTES).hexdigest()


def _mac(secret: bytes, request_id: str, arguments: Mapping[str, Any]) -> str:
    signed = {name: value for name, value in arguments.items() if name != "signature"}
    text = json.dumps([request_id, signed], sort_keys=True, separators=(",", ":"))
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=4)
def _read_once(path: str) -> Keys:
    return read_keys(Path(path))
