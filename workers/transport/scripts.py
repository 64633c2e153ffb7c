"""The Lua scripts by which messages move, each a step that happens whole or not at all."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import redis
from redis.commands.core import Script

_HERE = Path(__file__).parent

#: What each of the other scripts begins with.
PRELUDE = "prelude"

NAMES = sorted(path.stem for path in _HERE.glob("*.lua") if path.stem != PRELUDE)


@cache  # with kombu's own transport a script is made ready for every batch that is written
def text_of(name: str) -> str:
    """The text of one script, as Redis is given it."""
    return "\n".join((_HERE / f"{part}.lua").read_text(encoding="utf-8") for part in (PRELUDE, name))


def script(connection: redis.Redis, name: str) -> Script:
    """One script, to be called on `connection`; Redis learns it when it is first called."""
    return connection.register_script(text_of(name))
