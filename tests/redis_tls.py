"""TLS of a Redis server that was built with it, as Debian's is; the packaged Valkey is not."""

from __future__ import annotations

from pathlib import Path

import redis
import trustme

from cli.local_redis import LocalRedis, free_port


def speak_tls(server: LocalRedis, shown: Path, wanted: Path | None = None) -> int:
    """Have `server` speak TLS on a port of its own; returns the port, 0 if it was built without TLS.

    Args:
        server: one that runs.
        shown: its private key and certificate chain.
        wanted: the authority whose certificates it wants of its clients; None asks for none.
    """
    parameters = {
        "tls-cert-file": str(shown),
        "tls-key-file": str(shown),
        "tls-auth-clients": "yes" if wanted else "no",
        **({"tls-ca-cert-file": str(wanted)} if wanted else {}),
        "tls-port": str(port := free_port()),
    }
    with redis.Redis.from_url(server.url) as connection:
        if "valkey_version" in connection.info("server"):  # the packaged one ends when it is told of TLS
            return 0
    for name, value in parameters.items():
        server.configure(name, value)
    return port


def over_tls(server: LocalRedis, folder: Path) -> str:
    """The address of `server` over TLS, with the authority that signed its certificate.

    Raises:
        RuntimeError: it was built without TLS.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "shown.pem")
    port = speak_tls(server, folder / "shown.pem")
    if not port:
        raise RuntimeError("TEST_OVER_TLS=1 needs a redis-server that was built with TLS, such as Debian's")
    login = server.url.partition("://")[2].partition("@")[0]
    # Stock Celery, as which some tests submit, wants to be told that it shall verify.
    return f"rediss://{login}@127.0.0.1:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={folder / 'ca.pem'}"
