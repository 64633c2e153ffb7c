"""celery-batches with the task of `bench.stock`: ``celery -A bench.stock_batches worker``.

Runs only where celery-batches is, which does not go together with the Celery that Segue needs.
"""

from collections.abc import Sequence
from typing import Any

from celery_batches import Batches  # type: ignore[import-not-found]

from bench.stock import TASK_NAME, app, told

#: As many as in a batch of the worker that it is compared with (`bench.contestants.BATCH_SIZE`).
FLUSH_EVERY = 32

#: Seconds until an incomplete batch is run all the same; none is, if whole batches are sent.
FLUSH_INTERVAL = 1.0


@app.task(  # type: ignore[untyped-decorator]
    name=TASK_NAME, base=Batches, flush_every=FLUSH_EVERY, flush_interval=FLUSH_INTERVAL
)
def nothing(requests: Sequence[Any]) -> None:
    """Store what a transcript weighs for each request, as the documentation of celery-batches has it."""
    for request in requests:
        app.backend.mark_as_done(request.id, told["result"], request=request)
