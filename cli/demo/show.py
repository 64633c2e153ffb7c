"""The demo from beginning to end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO
from uuid import uuid4

from rich.console import Console

from cli.demo.display import Display
from cli.demo.figures import Figures, Run
from cli.demo.plan import make_plan
from cli.demo.run import RunFailed, run
from cli.demo.servers import Place, check_running, flower_for_demo, redis_for_demo, worker_for_demo
from cli.exits import Exit, complain
from cli.leash import DidNotStart, Leashed
from cli.local_redis import NoServer
from protocol.errors import QueueUnreachable, TranscriptionError
from workers.demo import speech


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for on the command line."""

    segments: int
    producers: int
    as_json: bool
    keep: bool


def show(wishes: Wishes, out: TextIO, err: TextIO) -> Exit:
    """Run the demo; returns the exit status. With `as_json`, `out` gets the figures and nothing else."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: an end that cleans up
    console = Console(file=err if wishes.as_json else out, highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="segue-demo-"))
    status = Exit.FAILED
    try:
        figures = _perform(
            Stage(wishes=wishes, folder=folder, display=Display(console)), partial(_print, out)
        )
        status = Exit.FAILED if figures.one_by_one.failed or figures.batched.failed else Exit.DONE
    except (RunFailed, DidNotStart, NoServer, TranscriptionError) as error:
        complain(f"the demo failed: {error}")
        status = Exit.UNREACHABLE if isinstance(error, QueueUnreachable) else Exit.FAILED
    except KeyboardInterrupt:
        complain("interrupted; all that was started has been stopped")
        status = Exit.INTERRUPTED
    if status in (Exit.FAILED, Exit.UNREACHABLE):
        complain(f"the logs are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return status


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo takes place."""

    wishes: Wishes
    folder: Path
    display: Display

    def run(self, name: str, place: Place, worker: Leashed) -> Run:
        """Once through the plan, watched."""
        plan = make_plan(speech(), self.wishes.segments, f"demo-{uuid4().hex[:8]}")
        with place.client() as client, self.display.live(name) as watch:
            done = run(
                name,
                plan,
                client=client,
                producers=self.wishes.producers,
                folder=self.folder,
                environ=place.environ,
                check=partial(check_running, worker),
                watch=watch,
            )
        self.display.ended(done)
        return done


def _perform(stage: Stage, print_json: Callable[[Figures], None]) -> Figures:
    """Start, run twice, report, and stop everything on the way out."""
    display, folder = stage.display, stage.folder
    with ExitStack() as stack:
        with display.step("starting Redis"):
            place = stack.enter_context(redis_for_demo(folder))
        with display.step("starting Flower"):
            flower = stack.enter_context(flower_for_demo(folder, place.environ))
        display.say(f"Flower shows every audio segment while this runs: {flower}/tasks")
        with ExitStack() as first:
            with display.step("starting a worker that runs them one by one"):
                settings = {"SEGUE_BATCHING_ENABLED": "false"}
                worker = first.enter_context(worker_for_demo("one-by-one", folder, place.environ, **settings))
            alone = stage.run("one by one", place, worker)
        with display.step("starting a worker that runs them in batches"):
            worker = stack.enter_context(worker_for_demo("batched", folder, place.environ))
        together = stage.run("batched", place, worker)
        figures = Figures(
            one_by_one=alone,
            batched=together,
            producers=stage.wishes.producers,
            cores=os.cpu_count() or 1,
            redis=place.redis,
        )
        if stage.wishes.as_json:
            print_json(figures)
        else:
            display.report(figures)
        if stage.wishes.keep:
            display.say(f"All of it goes on until you press Enter. Flower: {flower}/tasks")
            _wait_for_enter()
        else:
            display.say(f"To look at it in Flower: {_segue()} demo --keep")
            display.say(f"To hear your own audio, by a real model: {_segue()} up --model small")
    return figures


def _segue() -> str:
    """What whoever started this has to type: `make demo` leaves nothing on the PATH."""
    return "segue" if shutil.which("segue") else ".venv/bin/segue"


def _print(out: TextIO, figures: Figures) -> None:
    print(json.dumps(figures.as_json(), ensure_ascii=False, indent=2), file=out, flush=True)


def _wait_for_enter() -> None:
    """Until Enter or Ctrl-C; where nobody can press Enter, until Ctrl-C."""
    try:
        if not sys.stdin.readline():
            signal.pause()
    except KeyboardInterrupt:
        return
