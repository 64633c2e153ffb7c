"""The address of Redis: what it may be, and how it is shown without its password."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

EXPECTED = "redis:// or rediss:// [user:password@] host [:port] [/database], special characters as %xx"

#: redis-py takes a password from the query as well (`redis.connection.parse_url`).
_QUERY_PASSWORD = re.compile(r"(password=)[^&]*")


def check_redis_url(url: str) -> str:
    """Return `url` if Celery and redis-py will both read it as meant, else raise `ValueError`.

    Both are lenient on their own: redis-py reads a database that is not a number as 0.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(EXPECTED) from None
    wrong = (
        re.search(r"\s", url)
        or parts.scheme not in ("redis", "rediss")
        or not parts.hostname
        or port == 0
        or not re.fullmatch(r"(/[0-9]*)?", parts.path)
        or parts.fragment
    )
    if wrong:
        raise ValueError(EXPECTED)
    return url


def with_password(url: str, password: str) -> str:
    """A valid `url` with this password, of any characters, in place of its own."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{host}").geturl()


def without_password(url: object) -> str:
    """`url` as it may be shown; holds for what is not a valid address, too."""
    if not isinstance(url, str) or "://" not in url:
        return "***"
    head, at, tail = url.rpartition("@")
    if at:
        scheme, _, user = head.partition("://")
        user = user.partition(":")[0] if ":" in user else ""
        head = f"{scheme}://{user}:***"
    return head + at + _QUERY_PASSWORD.sub(r"\1***", tail)
