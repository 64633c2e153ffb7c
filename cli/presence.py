"""Whether there is a worker at all."""

from __future__ import annotations

#: How long a worker may take to answer, in seconds; it takes milliseconds even while the engine runs.
ANSWER_SECONDS = 2.0


def worker_answers(redis_url: str | None = None) -> bool:
    """Ask all workers on this Redis, or on that of the settings, for a sign of life.

    A worker answers while its engine runs, but not before its model is loaded. Where we may not ask, since
    Redis's users have their own rights, it is taken to be there.
    """
    from redis.exceptions import NoPermissionError

    from workers.app import make_app
    from workers.settings import load_settings

    with make_app(load_settings(redis_url=redis_url)) as app:
        try:
            return bool(app.control.inspect(timeout=ANSWER_SECONDS, limit=1).ping())
        except NoPermissionError:
            return True
