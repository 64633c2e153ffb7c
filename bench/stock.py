"""A stock Celery task that does nothing, for `bench.overhead` to compare with: ``celery -A bench.stock``."""

import os

from celery import Celery

app = Celery("stock", broker=os.environ.get("REDIS_URL"), backend=os.environ.get("REDIS_URL"))
app.config_from_object("celeryconfig")
app.conf.update(
    worker_pool="solo",
    worker_prefetch_multiplier=64,
    task_default_queue="stock",
    result_expires=3_600,
)


@app.task(name="stock.nothing")  # type: ignore[untyped-decorator]
def nothing(**_: object) -> dict[str, object]:
    """Return about what a transcript weighs."""
    return {"text": "0123456789abcdef", "language": "en", "segments": [], "timings": {"engine": 0.0}}
