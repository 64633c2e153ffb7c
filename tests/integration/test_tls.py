"""Promise: over `rediss://` everything is encrypted, and nobody speaks to a Redis that is not who it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import trustme
from numpy.typing import NDArray

from cli.leash import DidNotStart
from producer import AsyncClient, Client
from protocol.address import BadAddress
from protocol.errors import QueueUnreachable
from tests.integration.servers import TlsRedis, worker_on
from workers.app import make_app
from workers.settings import Settings

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Our own certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its certificate, as a client is given it."""
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="module")
def tls(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedis]:
    """A Redis with a good certificate for `localhost`, and for nothing else."""
    with TlsRedis(tmp_path_factory.mktemp("redis"), authority.issue_cert("localhost")) as server:
        yield server


@pytest.mark.parametrize("transport", ["claim", "redis"])
def test_everything_works_over_tls(
    tls: TlsRedis, ca_file: Path, tmp_path: Path, noise: Noise, transport: str
) -> None:
    """Worker with either transport, client, awaited client and Flower's way in: one address for all."""
    url = tls.url(ssl_ca_certs=ca_file)

    async def awaited() -> str:
        async with AsyncClient(url) as client:
            return (await client.transcribe(noise(2), priority="urgent", timeout=WAIT)).request_id

    with worker_on(url, tmp_path, transport=transport), Client(url) as client:
        assert client.submit(noise(1), priority="urgent").result(WAIT).model
        assert asyncio.run(awaited())
        with make_app(Settings(redis_url=url)) as app:
            assert app.control.ping(["w@test"], timeout=WAIT, limit=1)


def test_client_certificate_is_shown(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, noise: Noise
) -> None:
    """A Redis that wants a certificate of its clients gets ours, and serves nobody without one."""
    ours = tmp_path / "ours.pem"
    authority.issue_cert("worker").private_key_and_cert_chain_pem.write_to_path(ours)
    with TlsRedis(tmp_path, authority.issue_cert("localhost"), authority) as server:
        url = server.url(ssl_ca_certs=ca_file, ssl_certfile=ours, ssl_keyfile=ours)
        with worker_on(url, tmp_path), Client(url) as client:
            assert client.submit(noise(1), priority="urgent").result(WAIT).model
        with (
            Client(server.url(ssl_ca_certs=ca_file)) as stranger,
            pytest.raises(QueueUnreachable),
        ):
            stranger.queue_depth()


def test_wrong_authority_is_refused(tls: TlsRedis, tmp_path: Path) -> None:
    """A certificate that somebody else's authority has signed is refused, by client and worker alike."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    url = tls.url(ssl_ca_certs=other)
    with (
        Client(url) as client,
        pytest.raises(QueueUnreachable, match="not accepted: unable to get local issuer"),
    ):
        client.queue_depth()
    with pytest.raises(DidNotStart, match="not accepted: unable to get local issuer"):
        worker_on(url, tmp_path).__enter__()


def test_authorities_of_the_machine_do_not_know_ours(tls: TlsRedis) -> None:
    """Without `ssl_ca_certs` only the machine's own authorities count."""
    with Client(tls.url()) as client, pytest.raises(QueueUnreachable, match="certificate is not accepted"):
        client.queue_depth()


def test_wrong_host_is_refused(tls: TlsRedis, ca_file: Path) -> None:
    """A good certificate for another name is refused."""
    with (
        Client(tls.url("127.0.0.1", ssl_ca_certs=ca_file)) as client,
        pytest.raises(QueueUnreachable, match=r"not valid for '127\.0\.0\.1'"),
    ):
        client.queue_depth()


def test_expired_certificate_is_refused(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """A certificate of the right authority for the right host, from last year."""
    old = authority.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    with (
        TlsRedis(tmp_path, old) as server,
        Client(server.url(ssl_ca_certs=ca_file)) as client,
        pytest.raises(QueueUnreachable, match="certificate has expired"),
    ):
        client.queue_depth()


def test_old_tls_is_refused(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """A server that knows nothing newer than TLS 1.1 is refused."""
    certificate = authority.issue_cert("localhost")
    with (
        TlsRedis(tmp_path, certificate, newest="TLSv1_1") as server,
        Client(server.url(ssl_ca_certs=ca_file)) as client,
        pytest.raises(QueueUnreachable, match=r"TLS from 1\.2 on"),
    ):
        client.queue_depth()


def test_port_without_tls_is_named(tls: TlsRedis, ca_file: Path) -> None:
    """`rediss://` on a plain port: the error says which of the two does not fit, in time."""
    url = tls.plain_url.replace("redis://", "rediss://") + f"?ssl_ca_certs={ca_file}"
    with Client(url) as client, pytest.raises(QueueUnreachable, match="if that Redis speaks none"):
        client.queue_depth()


def test_plain_words_on_a_tls_port_are_refused(tls: TlsRedis) -> None:
    """`redis://` on a TLS port ends in an error, not in a password in the open for long."""
    plain = tls.url().replace("rediss://", "redis://")
    with Client(plain) as client, pytest.raises(QueueUnreachable):
        client.queue_depth()


@pytest.mark.parametrize("option", [{"ssl_cert_reqs": "none"}, {"ssl_check_hostname": "false"}])
def test_unverified_tls_is_refused(
    tls: TlsRedis, ca_file: Path, option: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that turns the look at the certificate off is refused, unless that is allowed aloud."""
    url = tls.url("127.0.0.1", ssl_ca_certs=ca_file, **option)
    with pytest.raises(BadAddress, match=next(iter(option))):
        Client(url)
    monkeypatch.setenv("SEGUE_ALLOW_INSECURE", "1")
    with Client(url) as client:
        assert client.queue_depth()


def test_missing_file_is_named(tls: TlsRedis) -> None:
    """A file of a certificate that is not there is named, not taken for an unreachable Redis."""
    with pytest.raises(BadAddress, match=r"ssl_ca_certs is '/nowhere/ca\.pem': there is no such file"):
        Client(tls.url(ssl_ca_certs="/nowhere/ca.pem"))
