"""The address of Redis: what it may be, what of it is not safe, and how it is shown without its password.

Producers and workers read the same URL by the same rules, so that one which the other side would read
differently is refused on both. redis-py, kombu and Celery get what is read here, never the URL itself:
each of them is lenient in its own way (redis-py reads a database that is not a number as 0, Celery
needs to be told to verify certificates).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from protocol.address_options import ANYWHERE, SENTINEL, STRICT_TLS, TLS, TLS_FILES, Read

EXPECTED = (
    "redis[s]:// [user:password@] host [:port] [/database], or redis[s]+sentinel:// with the hosts of the"
    " Sentinels, commas between, and ?master=name; special characters as %xx"
)

SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")

REDIS_PORT = 6379
SENTINEL_PORT = 26379

#: What redis-py and Segue understand as a password in a query.
_QUERY_PASSWORD = re.compile(r"(password=)[^&]*")


class BadAddress(ValueError):
    """This address of Redis cannot be used; the message says why, without the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where Redis is and how to speak to it; every instance that `parse_address` returns is valid."""

    hosts: Sequence[tuple[str, int]]
    """Host and port of Redis; of the Sentinels, if there is a `master`."""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, Any] | None = None
    """redis-py's ``ssl_…`` options; None speaks plainly."""
    socket_timeout: float | None = None
    """Longest wait for an answer in seconds; None leaves it to whoever connects."""
    master: str | None = None
    """The name by which the Sentinels know the master."""
    sentinel_login: Mapping[str, str] = field(default_factory=dict, repr=False)
    """``username`` and ``password`` for the Sentinels themselves."""

    def options(self) -> dict[str, Any]:
        """What redis-py's connections take, beside host and port."""
        login = {"username": self.username, "password": self.password}
        timeout = {} if self.socket_timeout is None else {"socket_timeout": self.socket_timeout}
        return {"db": self.database, **login, **(self.tls or {}), **timeout}

    def sentinel_options(self) -> dict[str, Any]:
        """What redis-py's clients of the Sentinels take, beside host and port."""
        return {**self.sentinel_login, **({"ssl": True, **self.tls} if self.tls else {})}

    def url(self, scheme: str) -> str:
        """For kombu and Celery: the first host, without a query."""
        host, port = self.hosts[0]
        login = quote(self.username or "", safe="")
        if self.password is not None:
            login += ":" + quote(self.password, safe="")
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{login}{'@' if login else ''}{host}:{port}/{self.database}"


def parse_address(url: str) -> Address:
    """Read `url`. Raises `BadAddress` with what is expected."""
    try:
        parts = _split(url)
        login, _, hosts = parts.netloc.rpartition("@")
        is_wrong = (
            re.search(r"\s", url)
            or parts.scheme not in SCHEMES
            or not re.fullmatch(r"(/[0-9]*)?", parts.path)
            or parts.fragment
        )
        if is_wrong:
            raise BadAddress(f"expected {EXPECTED}")
        return _address(parts, login, _hosts(parts.scheme, hosts))
    except BadAddress:
        raise
    except ValueError:
        raise BadAddress(f"expected {EXPECTED}") from None


def check_safe(address: Address) -> None:
    """Raise `BadAddress` if this address gives requests away to whoever stands in between or knocks.

    A missing file of a certificate is named here too: redis-py would call it an unreachable Redis.
    """
    for why in _dangers(address):
        raise BadAddress(f"{why}; SEGUE_ALLOW_INSECURE=1 allows it, for a network that nobody else is on")
    for name in TLS_FILES:
        file = (address.tls or {}).get(name)
        if file is not None and not Path(file).is_file():
            raise BadAddress(f"{name} is {file!r}: there is no such file")


def with_password(url: str, password: str) -> str:
    """A valid `url` with this password, of any characters, in place of its own."""
    parts = _split(url)
    login, _, hosts = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login.partition(':')[0]}:{quote(password, safe='')}@{hosts}").geturl()


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


def _split(url: str) -> SplitResult:
    """As `urlsplit`, which in later CPythons takes no brackets behind another host (CVE-2025-0938)."""
    scheme, slashes, rest = url.partition("//")
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    return urlsplit(scheme + slashes + rest[len(netloc) :])._replace(netloc=netloc)


def _address(parts: SplitResult, login: str, hosts: list[tuple[str, int]]) -> Address:
    by_sentinel, with_tls = parts.scheme.endswith("+sentinel"), parts.scheme.startswith("rediss")
    known = {**ANYWHERE, **(TLS if with_tls else {}), **(SENTINEL if by_sentinel else {})}
    query = dict(_query(parts, known))
    if by_sentinel and not query.get("master"):
        raise BadAddress("expected ?master= with the name by which the Sentinels know the master")
    if len(hosts) > 1 and not by_sentinel:
        raise BadAddress(f"{len(hosts)} hosts: expected one, or redis+sentinel://")
    username, has_password, password = login.partition(":")
    return Address(
        hosts=hosts,
        database=int(parts.path.strip("/") or 0),
        username=unquote(username) or None,
        password=unquote(password) if has_password else None,
        tls={**STRICT_TLS, **{name: query[name] for name in TLS if name in query}} if with_tls else None,
        socket_timeout=query.get("socket_timeout"),
        master=query.get("master"),
        sentinel_login={
            name.removeprefix("sentinel_"): query[name] for name in query if name.startswith("sentinel_")
        },
    )


def _hosts(scheme: str, given: str) -> list[tuple[str, int]]:
    usual = SENTINEL_PORT if scheme.endswith("+sentinel") else REDIS_PORT
    hosts = []
    for one in given.split(","):
        parts = urlsplit("//" + one)
        if not parts.hostname or parts.port == 0:
            raise BadAddress(f"expected {EXPECTED}")
        hosts.append((parts.hostname, parts.port or usual))
    return hosts


def _query(parts: SplitResult, known: Mapping[str, Read]) -> Iterator[tuple[str, Any]]:
    for name, text in parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)):
        if name not in known:
            raise BadAddress(
                f"{parts.scheme}:// has no option {name[:40]!r}: expected one of {', '.join(known)}"
            )
        try:
            yield name, known[name](text)
        except ValueError as expected:
            raise BadAddress(f"{name} is {text[:40]!r}: expected {expected}") from None


def _dangers(address: Address) -> Iterator[str]:
    far = [host for host, _ in address.hosts if not _is_this_machine(host)]
    if far and not address.password:
        yield f"Redis on {far[0]} would be used without a password, as anyone who reaches it can"
    if address.tls is None:
        return
    if address.tls["ssl_cert_reqs"] == "none":
        yield "ssl_cert_reqs is none: whoever stands in between can read and change everything"
    elif not address.tls["ssl_check_hostname"]:
        yield "ssl_check_hostname is false: any certificate of the same authority would do"


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
