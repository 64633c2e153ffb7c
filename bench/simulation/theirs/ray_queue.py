"""Ray Serve's `_BatchQueue` with an asynchronous handler, in virtual time.

``python -m bench.simulation.theirs.ray_queue``
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ray._common.signature import DUMMY_TYPE  # type: ignore[import-not-found]
from ray.serve import batching  # type: ignore[import-not-found]
from ray.serve.context import _RequestContext  # type: ignore[import-not-found]

from bench.simulation.theirs.virtual_time import Record, Told, VirtualTimeLoop, submit_all, tell, told


class Queue(batching._BatchQueue):  # type: ignore[misc]
    """Its own, but for a warning that asks a replica which is not there."""

    def _warn_if_max_batch_size_exceeds_max_ongoing_requests(self) -> None:
        pass


async def serve(asked: Told, record: Record) -> None:
    """Submit everything to its queue, which runs one batch at a time."""

    async def engine(items: Sequence[int]) -> list[int]:
        return await record.engine(items)

    queue = Queue(asked.largest, asked.window, 1, engine)

    async def submit(number: int) -> object:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        queue.put(
            batching._SingleRequest(
                self_arg=None,
                flattened_args=[DUMMY_TYPE, number],
                future=future,
                request_context=_RequestContext(),
                trace_context=None,
            )
        )
        return await future

    await submit_all(asked.enqueued_at, submit)


def main() -> None:
    """Read what to run, run it, write what came of it."""
    loop = VirtualTimeLoop()
    asyncio.set_event_loop(loop)
    batching.time = loop.time_module
    asked = told()
    record = Record(asked)
    loop.run_until_complete(serve(asked, record))
    tell(record)


if __name__ == "__main__":
    main()
