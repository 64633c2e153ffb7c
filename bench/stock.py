"""Stock Celery with a task that does nothing, to compare with: ``celery -A bench.stock worker``.

Needs nothing but Celery, since another Python runs a copy of it. What it is told stands in the
environment, as JSON in ``BENCH_STOCK``: Celery's ``settings``, and the ``result`` of every task.
"""

import json
import os
from typing import Any

from celery import Celery

TASK_NAME = "stock.nothing"
QUEUE = "stock"

told: dict[str, Any] = json.loads(os.environ.get("BENCH_STOCK", '{"settings": {}, "result": null}'))

app = Celery("stock", broker=os.environ.get("REDIS_URL"), backend=os.environ.get("REDIS_URL"))
app.conf.update(told["settings"], task_default_queue=QUEUE)


@app.task(name=TASK_NAME)  # type: ignore[untyped-decorator]
def nothing(**_: object) -> Any:
    """Return what a transcript weighs."""
    return told["result"]
