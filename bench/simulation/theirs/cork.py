"""BentoML's `CorkDispatcher`, in virtual time: ``python -m bench.simulation.theirs.cork``.

Only the dispatcher's own file is loaded and what it imports of BentoML, without the packages around them,
which need the whole of BentoML's dependencies.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from bench.simulation.theirs.virtual_time import Record, Told, VirtualTimeLoop, submit_all, tell, told

#: Packages on the way to the dispatcher, whose own first lines are left out.
BARE = ("bentoml", "bentoml._internal", "bentoml._internal.marshal", "bentoml._internal.utils")

#: Its default `max_latency_ms`: nothing is shed.
MAX_LATENCY_MS = 60_000


def load(clock: Any) -> Any:
    """The module of the dispatcher, which reads `clock` for the time."""
    for name in BARE:
        parent = sys.modules.get(name.rpartition(".")[0])
        spec = PathFinder.find_spec(name, getattr(parent, "__path__", None))
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(name)
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
    sys.modules[BARE[-1]].is_async_callable = asyncio.iscoroutinefunction  # type: ignore[attr-defined]
    from bentoml._internal.marshal import dispatcher  # type: ignore[import-not-found]
    from bentoml._internal.utils import alg  # type: ignore[import-not-found]

    dispatcher.time = alg.time = clock
    return dispatcher


async def serve(module: Any, asked: Told, record: Record) -> None:
    """Submit everything to its dispatcher."""
    dispatcher = module.CorkDispatcher(
        MAX_LATENCY_MS, asked.largest, fallback=lambda: None, get_batch_size=lambda _: 1
    )

    async def engine(items: Sequence[int]) -> list[int]:
        return await record.engine(items)

    submit: Callable[[int], Awaitable[object]] = dispatcher(engine)
    await submit_all(asked.enqueued_at, submit)
    dispatcher.shutdown()


def main() -> None:
    """Read what to run, run it, write what came of it."""
    loop = VirtualTimeLoop()
    asyncio.set_event_loop(loop)
    asked = told()
    record = Record(asked)
    loop.run_until_complete(serve(load(loop.time_module), asked, record))
    tell(record)


if __name__ == "__main__":
    main()
