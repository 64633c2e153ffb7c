"""The command `segue bench`: its verbs."""

from __future__ import annotations

import typer

from cli.bench.compare import engine, idle, lengths, overhead, overlap, queue, submitting
from cli.bench.endurance import faults, junk, memory, recording, soak
from cli.bench.policy import policy, replay
from cli.exits import Verbs

app = typer.Typer(
    name="bench",
    cls=Verbs,
    help="Compare and measure, on this machine; each says in its --help what it does.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,  # `segue` itself does that
)

for verb in (
    engine,
    faults,
    idle,
    junk,
    lengths,
    memory,
    overhead,
    overlap,
    policy,
    queue,
    recording,
    replay,
    soak,
    submitting,
):
    app.command()(verb)
