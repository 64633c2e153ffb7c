"""The Celery application of the worker and of Flower."""

import logging
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning
from celery.signals import after_setup_logger, worker_ready

from workers.events import SERIALIZER, Events
from workers.no_contents import without_contents
from workers.one_line import one_line
from workers.redis_connection import connect_app
from workers.settings import Settings, load_settings

#: Batches' worth of messages that a worker holds with kombu's own transport: the one that runs and the
#: next. More would starve its idle neighbours; see docs/decisions/.
BATCHES_HELD = 2


class App(Celery):  # type: ignore[misc]
    """A Celery application that carries what the operator has set."""

    events_cls = Events
    settings: Settings


def make_app(settings: Settings) -> App:
    """A Celery application on `settings`, not connected to anything yet."""
    app = App("segue", include=["workers.tasks"])
    app.config_from_object("celeryconfig")
    app.conf.update(
        event_serializer=SERIALIZER,
        result_expires=settings.result_ttl,
        worker_prefetch_multiplier=BATCHES_HELD * settings.batching.max_batch_size,
    )
    connect_app(app, settings.redis_url)
    app.settings = settings
    return app


@after_setup_logger.connect  # type: ignore[untyped-decorator]
def _one_line_per_event(logger: logging.Logger, **_: Any) -> None:
    for handler in logger.handlers:
        handler.addFilter(one_line)


@after_setup_logger.connect  # type: ignore[untyped-decorator]
def _no_contents(**_: Any) -> None:
    logging.getLogger("celery.worker.consumer.consumer").addFilter(without_contents)


@after_setup_logger.connect  # type: ignore[untyped-decorator]
def _one_line_per_batch(**_: Any) -> None:
    """Celery's own lines per task are turned off: `workers.run` writes one per batch."""
    for name in ("celery.app.trace", "celery.worker.strategy", "celery.worker.request"):
        logging.getLogger(name).setLevel(logging.WARNING)


@worker_ready.connect  # type: ignore[untyped-decorator]
def _no_advice_at_lost_connections(**_: Any) -> None:
    """Celery repeats at each of them what a setting will be by default, which celeryconfig.py makes."""
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


app = make_app(load_settings())
