"""The users of deploy/redis/users.acl, for tests that run under them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import redis

from protocol.address import parse_address

TEMPLATE = Path(__file__).parents[1] / "deploy/redis/users.acl"


def rules() -> dict[str, list[str]]:
    """What the template says of each user."""
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    assert all(first == "user" for first, *_ in words)
    return {name: rest for _, name, *rest in words}


def let_in(connection: redis.Redis, password: str) -> None:
    """Make the named users, all with this password; whoever comes without a name is left as it was."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    for name, words in rules().items():
        if name != "default":
            given = [word.replace(f"@{name}@", digest) for word in words]
            acl(connection, "SETUSER", name, "reset", *given)


def acl(connection: redis.Redis, *words: str) -> Any:
    """Ask, or tell, Redis about its users."""
    return connection.execute_command("ACL", *words)  # type: ignore[no-untyped-call]


def as_user(url: str, name: str) -> str:
    """`url` for this user, if it is one for a user at all."""
    username = parse_address(url).username
    return url.replace(f"://{username}:", f"://{name}:") if username in rules() else url
