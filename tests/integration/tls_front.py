"""A front that speaks TLS before a Redis that does not, as a program of its own.

The packaged server was built without TLS; to a client there is no difference.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl


def context(certificate: str, authority: str | None, newest: ssl.TLSVersion) -> ssl.SSLContext:
    """How TLS is spoken: what is shown, whose certificates clients must have, which versions there are."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    if newest < ssl.TLSVersion.TLSv1_2:
        made.set_ciphers("ALL:@SECLEVEL=0")  # at its usual level OpenSSL has none for the old versions
        made.minimum_version = newest
    made.maximum_version = newest
    if authority is not None:
        made.load_verify_locations(authority)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


async def serve(tls: ssl.SSLContext, behind: int) -> None:
    """Pass whatever comes over TLS to the port `behind` on loopback, and back."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(pass_on(reader, to_redis), pass_on(from_redis, writer), return_exceptions=True)

    front = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    print("listening on", front.sockets[0].getsockname()[1], flush=True)
    await front.serve_forever()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until there are no more, then close the other end."""
    try:
        while received := await reader.read(65_536):
            writer.write(received)
            await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("behind", type=int)
    parser.add_argument("certificate")
    parser.add_argument("--authority")
    parser.add_argument("--newest", default="TLSv1_3")
    given = parser.parse_args()
    tls = context(given.certificate, given.authority, ssl.TLSVersion[given.newest])
    asyncio.run(serve(tls, given.behind))
