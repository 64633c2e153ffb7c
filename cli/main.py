"""The `segue` command: its verbs and nothing else."""

from __future__ import annotations

import typer

from cli import flower, lookup, speak, transcribe, up, worker
from cli.demo.command import demo
from cli.exits import Verbs
from cli.wishes import WhisperSpelling
from cli.zmq.command import zmq
from protocol.formats import FORMATS

app = typer.Typer(
    name="segue",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "Single audio segments in, batched through one speech-to-text engine, transcripts out by request id."
        "\n\n"
        "To see it work, with nothing installed but this: `segue demo`"
        "\n\n"
        "To try it out: `segue up --model small`, and in another terminal, as that says,"
        " `segue transcribe *.wav`."
        "\n\n"
        "To use it: start Redis, then `segue worker --model small`. REDIS_URL says where Redis is."
    ),
    epilog=(
        "Exit status: 0 all done, 1 some input failed, 2 wrong usage, 3 Redis or worker unreachable,"
        " 4 timeout, 130 Ctrl-C."
    ),
    rich_markup_mode=None,  # Rich triples the time that `segue --help` takes
)

_ANY = {"allow_extra_args": True, "ignore_unknown_options": True}


def _spelled(name: str) -> str:
    """Who comes from openai-whisper writes `--output_dir` for `--output-dir`, and `txt` for `text`."""
    if name == "txt":
        return "text"
    return name if name in FORMATS else name.replace("_", "-")


_SPELLING = {"token_normalize_func": _spelled}

for verb in (
    demo,
    up.up,
    worker.worker,
    flower.flower,
    zmq,
    transcribe.transcribe,
    transcribe.submit,
    speak.say,
    lookup.status,
    lookup.result,
    lookup.cancel,
    lookup.queue,
):
    takes_more = verb in (worker.worker, flower.flower)
    takes_wishes = verb in (transcribe.transcribe, transcribe.submit, speak.say)
    app.command(
        cls=WhisperSpelling if takes_wishes else None, context_settings=_ANY if takes_more else _SPELLING
    )(verb)


@app.command(context_settings=_ANY, add_help_option=False)
def config(context: typer.Context) -> None:
    """Show what is set, and where: `segue config check`."""
    from cli.config import app as verbs

    verbs(context.args, prog_name="segue config")


@app.command(context_settings=_ANY, add_help_option=False)
def dead(context: typer.Context) -> None:
    """Look at what was given up, and let it run again."""
    from cli.dead import app as verbs

    verbs(context.args, prog_name="segue dead")


@app.command(context_settings=_ANY, add_help_option=False)
def bench(context: typer.Context) -> None:
    """Compare and measure, on this machine: `segue bench`."""
    from cli.bench.command import app as verbs

    verbs(context.args, prog_name="segue bench")


def run() -> None:
    """Entry point of the `segue` command."""
    app()


if __name__ == "__main__":
    run()
