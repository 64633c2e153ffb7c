"""Why a TLS connection was not made, in words that name what to change."""

from __future__ import annotations

import ssl

#: A plain Redis either waits for the end of the line that it takes the handshake for, or calls it an error.
_WITHOUT_TLS = "if that Redis speaks none, its address begins with redis:// instead of rediss://"

#: OpenSSL's reasons when what answers does not speak TLS at all; which of them depends on its first bytes.
_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"}
)
_NO_COMMON_VERSION = frozenset(
    {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"}
)
_NO_CERTIFICATE = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"})


#: The server hung up; or it said why in a way that OpenSSL knows and Python's `ssl` has no word for.
_ENDED = frozenset({"UNEXPECTED_EOF_WHILE_READING", ""})


def why_no_tls(error: BaseException | None) -> str | None:
    """What `error`, or what it came from, says about certificates or TLS; None if nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"Redis's certificate is not accepted: {error.verify_message}"
        if isinstance(error, ssl.SSLError):
            return _of_reason(error.reason or "")
        if isinstance(error, TimeoutError) and "handshake" in str(error):  # so says CPython's _ssl.c
            return f"no answer to the TLS handshake in time; {_WITHOUT_TLS}"
        error = error.__cause__ or error.__context__
    return None


def _of_reason(reason: str) -> str:
    if reason in _NO_TLS:
        return f"what answers there does not speak TLS; {_WITHOUT_TLS}"
    if reason in _NO_COMMON_VERSION:
        return "the server knows no TLS from 1.2 on"
    if reason in _NO_CERTIFICATE:
        return "the server wants a certificate of ours: set ssl_certfile and ssl_keyfile"
    if reason in _ENDED:
        return "the server ended the handshake: it may know no TLS from 1.2 on, or want our certificate"
    return f"TLS failed: {reason.lower().replace('_', ' ')}"
