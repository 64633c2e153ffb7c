"""The Celery worker: drains messages, batches them, runs the engine, settles the outcomes."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`celery -A workers` finds the application here; the engine process never pays for importing it."""
    if name == "celery":
        from workers.app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
