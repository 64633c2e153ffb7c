"""What the way through the queue costs: submit → result, saturated, against the bare engine loop.

A worker drains waiting requests with the packaged model; the same clips go through the same engine, in
batches of the same size, in a process without any queue. Each has the machine's cores to itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.apart import Apart
from bench.clips import LANGUAGE, chosen_clips
from bench.contestants import Contestant, ours
from bench.engine import CONTEXTS, Context, Way, decoded_clips, transcribed
from bench.overhead import Cost, drain
from bench.rounds import Spent
from producer import Client

#: Requests in a batch: the worker's default.
BATCH_SIZE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Both ways, one after the other; figures are those of a request."""

    bare_per_second: float
    queue_per_second: float
    bare_cpu_seconds: float
    queue_cpu_seconds: float
    """Of all of the worker's processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """One audio context over all rounds."""

    rounds: tuple[Round, ...]

    @property
    def ratio(self) -> float:
        """Requests a second through the queue, of those of the bare engine: median of the rounds' own."""
        return median(one.queue_per_second / one.bare_per_second for one in self.rounds)

    @property
    def cpu_ratio(self) -> float:
        """Processor time of the bare engine, of that through the queue; a busy machine distorts it less."""
        return median(one.bare_cpu_seconds / one.queue_cpu_seconds for one in self.rounds)


def measure(
    redis_url: str,
    folder: Path,
    *,
    requests: Mapping[Context, int],
    rounds: int = 3,
    say: Callable[[str], object] = lambda _: None,
) -> dict[Context, Through]:
    """Both ways in turn, `rounds` times, for each audio context.

    Args:
        redis_url: an empty Redis.
        folder: for the workers' logs.
        requests: how many for each context, made up to whole batches; several, for counting begins with the
            worker warm.
        rounds: how often; every other one begins with the queue.
        say: told which round is next.

    Raises:
        TimeoutError: a worker did not get through; the message quotes its log.
    """
    found: dict[Context, list[Round]] = {context: [] for context in CONTEXTS}
    with Apart() as engine:
        for number in range(rounds):
            for context in CONTEXTS:
                say(f"round {number + 1} of {rounds}, {context} context")
                count = requests[context] + -requests[context] % BATCH_SIZE
                log = folder / f"{context}-{number}.log"
                steps = (
                    partial(_bare, engine, context, count),
                    partial(drain, worker(context), redis_url, log, count),
                )
                done = [step() for step in steps[:: -1 if number % 2 else 1]]
                found[context].append(_round(done, count))
    return {context: Through(rounds=tuple(each)) for context, each in found.items()}


def worker(context: Context) -> Contestant:
    """Segue's worker with the packaged model, and who sends it clips."""
    real = ours(
        ENGINE="faster-whisper",
        MODEL="demo",
        DEVICE="cpu",
        AUDIO_CONTEXT=context,
        MAX_BATCH_SIZE=BATCH_SIZE,
    )
    return replace(real, send=submit)


def submit(redis_url: str, count: int) -> Sequence[str]:
    """Submit so many clips, asking what the bare engine is asked; their ids, in order."""
    clips = [clip.samples for clip in chosen_clips(count)]
    with Client(redis_url) as client:
        tickets = client.submit_many(clips, language=LANGUAGE, beam_size=1, temperature=0.0)
        return [ticket.request_id for ticket in tickets]


def _bare(engine: Apart, context: Context, count: int) -> Spent[list[str]]:
    way = Way(who="segue", context=context, batch_size=BATCH_SIZE, language="given")
    threads = os.cpu_count() or 1
    engine.run(partial(decoded_clips, count))
    engine.run(partial(transcribed, way, BATCH_SIZE, threads))  # loads the model
    return engine.run(partial(transcribed, way, count, threads))


def _round(done: Sequence[Spent[list[str]] | Cost], count: int) -> Round:
    (bare,) = [one for one in done if isinstance(one, Spent)]
    (queue,) = [one for one in done if isinstance(one, Cost)]
    return Round(
        bare_per_second=count / bare.seconds,
        queue_per_second=queue.messages_per_second,
        bare_cpu_seconds=bare.cpu_seconds / count,
        queue_cpu_seconds=queue.cpu_microseconds / 1e6,
    )
