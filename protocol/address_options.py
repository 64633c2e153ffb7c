"""What the query of an address of Redis may say, and how each option is read."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

Read = Callable[[str], Any]
"""Text to value. Raises `ValueError` with what is expected."""

#: How TLS is spoken where the address does not say otherwise: redis-py's names, and as strict as it can be.
#: TLS 1.0 and 1.1 are deprecated by RFC 8996.
STRICT_TLS: Mapping[str, Any] = {
    "ssl_cert_reqs": "required",
    "ssl_check_hostname": True,
    "ssl_min_version": ssl.TLSVersion.TLSv1_2,
}


def one_of(**choices: object) -> Read:
    """Reads one of these words, in either case."""

    def read(text: str) -> object:
        if text.lower() not in choices:
            raise ValueError(" or ".join(choices))
        return choices[text.lower()]

    return read


def seconds(text: str) -> float:
    """Reads a length of time in seconds, from a millisecond to an hour."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 3_600:
        raise ValueError("seconds from 0.001 to 3600")
    return value


ANYWHERE: Mapping[str, Read] = {"socket_timeout": seconds}

TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS: Mapping[str, Read] = {
    **dict.fromkeys(TLS_FILES, str),
    "ssl_cert_reqs": one_of(required="required", none="none"),
    "ssl_check_hostname": one_of(true=True, false=False),
}

SENTINEL: Mapping[str, Read] = dict.fromkeys(("master", "sentinel_username", "sentinel_password"), str)
