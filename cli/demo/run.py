"""One run: producers submit the plan, a worker transcribes it, somebody watches."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cli.demo.figures import Progress, Run, batches_of
from cli.demo.plan import Planned, write_plan
from producer import Client
from protocol.errors import TranscriptionError
from protocol.transcript import ON_ITS_WAY, Status, Transcript

#: How often the run is looked at, in seconds: often enough to be watched, and a thousandth of the work.
LOOK_EVERY_SECONDS = 0.1

#: Longest that a run may go without a single result, in seconds; a batch takes below one.
STALL_SECONDS = 60.0

Outcomes = dict[str, Transcript | TranscriptionError]


class RunFailed(RuntimeError):
    """The demo cannot go on; the message says which part of it gave up."""


def run(
    name: str,
    plan: Sequence[Planned],
    *,
    client: Client,
    producers: int,
    folder: Path,
    environ: Mapping[str, str],
    check: Callable[[], None],
    watch: Callable[[Progress], None],
) -> Run:
    """Submit `plan` from several producers at once and collect every outcome.

    Args:
        name: what to call the run.
        folder: where the producers' shares and logs go.
        environ: the environment of the producers; its REDIS_URL counts.
        check: called with each look; raises if the worker has ended.
        watch: shown each look.

    Raises:
        RunFailed: a producer failed, or nothing came for a long time.
    """
    with _producers(plan, producers, folder / name, environ) as processes:
        started_at = time.monotonic()
        for process in processes:
            _tell_to_start(process)
        outcomes: Outcomes = {}
        looked = _look(client, plan, outcomes, started_at)
        heard_at = time.monotonic()
        while looked.done < looked.total:
            watch(looked)
            time.sleep(LOOK_EVERY_SECONDS)
            check()
            _check_producers(processes, folder / name)
            before, looked = looked, _look(client, plan, outcomes, started_at)
            heard_at = time.monotonic() if looked.done > before.done else heard_at
            if time.monotonic() - heard_at > STALL_SECONDS:
                raise RunFailed(f"no result for {STALL_SECONDS:.0f} s, with {looked.done} of {looked.total}")
        watch(looked)
    return Run(name=name, plan=tuple(plan), outcomes=outcomes, seconds=looked.seconds)


def _look(client: Client, plan: Sequence[Planned], outcomes: Outcomes, started_at: float) -> Progress:
    """Look where every request is; put what is new into `outcomes`."""
    open_ids = [planned.request_id for planned in plan if planned.request_id not in outcomes]
    where = dict(zip(open_ids, client.statuses(open_ids), strict=True))
    seconds = time.monotonic() - started_at
    for request_id, status in where.items():
        if status is not Status.UNKNOWN and status not in ON_ITS_WAY:
            outcomes[request_id] = _outcome(client, request_id)
    transcripts = [outcome for outcome in outcomes.values() if isinstance(outcome, Transcript)]
    statuses = list(where.values())
    return Progress(
        total=len(plan),
        submitted=len(plan) - statuses.count(Status.UNKNOWN),
        waiting=statuses.count(Status.QUEUED) + statuses.count(Status.BATCHED),
        in_batch=statuses.count(Status.RUNNING),
        done=len(outcomes),
        seconds=seconds,
        audio_seconds=sum(transcript.duration for transcript in transcripts),
        batch_sizes=tuple(batch.size for batch in batches_of(transcripts)),
    )


def _outcome(client: Client, request_id: str) -> Transcript | TranscriptionError:
    try:
        return client.result(request_id)
    except TranscriptionError as error:
        return error


@contextmanager
def _producers(
    plan: Sequence[Planned], count: int, folder: Path, environ: Mapping[str, str]
) -> Iterator[list[subprocess.Popen[str]]]:
    """Producer processes that are ready to start; each has every `count`-th request of the plan."""
    folder.mkdir()
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_producer(plan[number::count], folder / f"producer-{number}", environ))
            for number in range(count)
        ]
        for process in processes:
            assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
            process.stdout.readline()
        _check_producers(processes, folder)
        yield processes


@contextmanager
def _producer(
    share: Sequence[Planned], at: Path, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    write_plan(at.with_suffix(".json"), share)
    command = [sys.executable, "-m", "cli.demo.producer", str(at.with_suffix(".json"))]
    with (
        at.with_suffix(".log").open("w") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environ,
            cwd=at.parent,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _tell_to_start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101 - it was opened as a pipe
    process.stdin.write("go\n")
    process.stdin.flush()


def _check_producers(processes: Sequence[subprocess.Popen[str]], folder: Path) -> None:
    for number, process in enumerate(processes):
        if process.poll():
            log = folder / f"producer-{number}.log"
            lines = log.read_text().strip().splitlines() or ["it said nothing"]
            raise RunFailed(f"producer {number} failed: {lines[-1]}")
