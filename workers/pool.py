"""Celery's pool: one engine process and its life, and a thread for tasks that need no engine."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from celery.concurrency.base import BasePool, apply_target
from celery.exceptions import WorkerShutdown
from celery.worker import state
from kombu.asynchronous import Hub

from protocol.routing import LIMITS, TASK_NAME
from workers.dispatcher import Dispatcher
from workers.engine_process import EngineProcess, ProcessLost
from workers.redis_check import UnfitRedis, check_redis
from workers.result_backend import batched_backend
from workers.settings import parse_listening
from workers.stop_signals import StopSignals
from workers.transport import channel
from workers.transport.claims import Claims, LeaseLost, connect
from workers.transport.keeper import Keeper
from workers.transport.memory import Memory
from workers.transport.scripts import script

log = logging.getLogger(__name__)

#: Seconds before an engine process that could not load is started again, doubled up to the maximum: a
#: card that another process holds comes free sooner or later.
RESTART_DELAY = 1.0
RESTART_DELAY_MAX = 60.0


MEGABYTE = 1_000_000


class EnginePool(BasePool):  # type: ignore[misc]
    """Owns the engine process; `workers.strategy` finds the dispatcher here.

    Requests for the engine come through the dispatcher. Whatever else is sent to this worker (Celery's
    own `celery.chord_unlock`, a user's task at the end of a chain) runs on one thread, as in Celery's
    thread pool.
    """

    signal_safe = False
    body_can_be_buffer = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hostname = str(self.options.get("initargs", (None, "worker"))[1])
        self._settings = self.app.settings
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="task")
        self._engine: EngineProcess | None = None
        self._hub: Hub | None = None
        self._restart_delay = RESTART_DELAY
        backend = batched_backend(self.app)
        self.app.tasks[TASK_NAME].backend = backend
        self.dispatcher = Dispatcher(self._settings, backend, self._hostname)
        self._is_stopping = False
        self._stop_signals = StopSignals(self.dispatcher.hurry)
        self._connection = connect(self._settings.redis_url)
        self._claims = None
        if self._settings.transport == "claim":
            self._claims = backend.claims = Claims(self._connection)
            self._keeper = Keeper(self._claims, Memory(self._connection), self._on_lease_lost)

    def on_start(self) -> None:
        """Start the engine and wait until its model is loaded: no message is taken before."""
        try:
            check_redis(self._connection, strict=self._settings.strict_redis)
        except (UnfitRedis, redis.RedisError) as error:
            self._refuse_to_start(str(error))
        self._serve_metrics()
        self._engine = EngineProcess(self._settings)
        try:
            report = self._engine.receive(self._settings.load_timeout)
        except ProcessLost as lost:
            self._refuse_to_start(str(lost))
        if report is None:
            self._refuse_to_start(f"the model was not loaded within {self._settings.load_timeout:.0f} s")
        elif "failed" in report:
            self._refuse_to_start(report["failed"])
        else:
            self._publish_limits()
            self._begin_claiming()
            gc.freeze()  # what is there now stays: nobody needs to look for garbage in it
            self._on_ready(report["ready"])

    def _serve_metrics(self) -> None:
        where = self._settings.metrics_address
        if not where:
            return
        host, port = parse_listening(where)
        try:
            port = self.dispatcher.metrics.serve(host, port)
        except OSError as error:
            self._refuse_to_start(f"metrics_address is {where!r}, where this worker cannot listen: {error}")
        log.info("metrics are at http://%s:%d/metrics", host, port)

    def _publish_limits(self) -> None:
        """Tell producers how much may wait, also by a full Redis; the worker that started last is right."""
        admission = self._settings.admission
        limits = {"requests": admission.max_waiting, "bytes": admission.max_waiting_mb * MEGABYTE}
        told = [part for name, most in limits.items() if most for part in (name, str(most))]
        script(self._connection, "limits")(keys=[LIMITS], args=told)

    def _begin_claiming(self) -> None:
        if self._claims is None:
            return
        self._keeper.start()
        channel.install(self._claims, self.dispatcher.wanted, self.dispatcher.start_if_due)
        self.dispatcher.use_fetch(channel.fetch)
        # Writing too: both then connect as soon as Redis is back.
        self.app.conf.broker_read_url = channel.claim_url(self.app.conf.broker_url)
        self.app.conf.broker_write_url = self.app.conf.broker_read_url

    def register_with_event_loop(self, loop: Hub) -> None:
        """Listen to the engine on the worker's event loop; called again after each reconnect."""
        self._hub = loop
        self.dispatcher.use_loop(loop)
        if self._engine is not None:
            loop.add_reader(self._engine.fileno(), self._on_readable)

    def flush(self) -> None:
        """The connection to the broker is gone: kombu's messages go with it, claimed ones stay ours."""
        if self._claims is None:
            self.dispatcher.forget_waiting()
            return
        for message in self.dispatcher.forget_delayed():  # Celery has stopped their timers
            try:
                self._claims.put_back(message.delivery_tag)
            except (redis.RedisError, LeaseLost) as error:
                log.warning("could not put a delayed request back: %s", error)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> None:
        """Run a task that needs no engine."""
        self._threads.submit(apply_target, target, args, kwargs, callback, accept_callback)

    def on_stop(self) -> None:
        """Finish the running batch within the grace, then end the engine.

        Celery's cold shutdown calls this from its signal handler, maybe while it waits here already.
        """
        if state.should_terminate:
            self.dispatcher.hurry()
        if self._is_stopping:
            return
        self._is_stopping = True
        self.dispatcher.finish(self._settings.shutdown_grace)
        self._stop_claiming()
        self._threads.shutdown(cancel_futures=True)
        if self._engine is not None:
            self._engine.close()

    def on_terminate(self) -> None:
        """End at once; what runs is delivered again."""
        self._stop_claiming()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._engine is not None:
            self._engine.kill()

    def terminate_job(self, pid: int, signal: int | None = None) -> None:  # noqa: ARG002  # Celery's
        """`revoke(terminate=True)`: a batch is shared, so a request that has started runs to its end."""
        log.info("not terminating process %s: its batch belongs to others too", pid)

    def _get_info(self) -> dict[str, Any]:
        return {
            **super()._get_info(),
            "max-concurrency": self.limit,
            "engine": self._settings.engine,
            "model": self._settings.model,
            "processes": [self._engine.pid] if self._engine is not None else [],
        }

    def _on_lease_lost(self, worker_id: str) -> None:
        """Called on the keeper's thread; the event loop does the rest, where nothing is claimed meanwhile."""
        if self._hub is not None:
            self._hub.call_soon(self._start_anew, worker_id)

    def _start_anew(self, lost_id: str) -> None:
        if self._claims is None or self._claims.worker_id != lost_id:
            return
        self.dispatcher.start_anew()
        try:
            self._claims.take_lease()
        except redis.RedisError as error:
            log.warning("could not take a new lease, trying again: %s", error)

    def _stop_claiming(self) -> None:
        if self._claims is None:
            return
        self._keeper.stop()
        try:
            returned = self._claims.give_back()
        except redis.RedisError as error:
            log.warning("could not hand anything back, the lease will run out: %s", error)
        else:
            log.info("handed %d requests back", returned)

    def _on_readable(self) -> None:
        if self._engine is None:
            return
        try:
            report = self._engine.receive()
        except ProcessLost as lost:
            self._on_lost(str(lost))
            return
        if report is None:
            return
        if "ready" in report:
            self._on_ready(report["ready"])
        elif "failed" in report:
            log.error("%s", report["failed"])
        elif "loading" in report:
            self.dispatcher.budget.load(report["loading"])
        elif "loaded" in report:
            self.dispatcher.budget.loaded(report["loaded"], report["seconds"])
        else:
            self.dispatcher.on_report(report)

    def _on_ready(self, ready: dict[str, Any]) -> None:
        log.info("engine is ready: model %s loaded in %.1f s", ready["model"], ready["seconds"])
        self._restart_delay = RESTART_DELAY
        if self._engine is not None:
            self.dispatcher.use_engine(self._engine)

    def _on_lost(self, how: str) -> None:
        was_loaded = self.dispatcher.has_engine
        self._forget_engine()
        self.dispatcher.on_engine_lost(how)
        if was_loaded:
            self._restart()
        elif self._hub is not None:
            log.error("the engine could not be loaded, trying again in %.0f s", self._restart_delay)
            self._hub.call_later(self._restart_delay, self._restart)
            self._restart_delay = min(2 * self._restart_delay, RESTART_DELAY_MAX)

    def _restart(self) -> None:
        self._engine = EngineProcess(self._settings)
        if self._hub is not None:
            self._hub.add_reader(self._engine.fileno(), self._on_readable)

    def _forget_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        if self._hub is not None:
            self._hub.remove_reader(engine.fileno())
        engine.kill()
        engine.close()

    def _refuse_to_start(self, why: str) -> None:
        log.critical("no work is taken: %s", why)
        self._forget_engine()
        raise WorkerShutdown(1)
