"""What the demo found out, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.demo.figures import Figures, RanBatch, Run
from cli.demo.plan import Planned
from cli.demo.words import align, word_errors, words_of
from protocol.errors import TranscriptionError
from protocol.transcript import Transcript

#: Rows of the tables that would else be as long as the demo.
TEXT_ROWS = 12
BATCH_ROWS = 20


def report_of(figures: Figures) -> Iterator[RenderableType]:
    """Everything worth showing at the end, top to bottom."""
    batched = figures.batched
    yield texts_table(batched.transcripts)
    yield batches_table(batched.batches)
    if batched.failed or figures.one_by_one.failed:
        yield failures_table([figures.one_by_one, batched])
    yield throughput_table(figures)


def texts_table(transcripts: Sequence[tuple[Planned, Transcript]]) -> Table:
    """What was said beside what was heard; words that differ stand out.

    The rows with errors come first, so that the table does not flatter; what is in it twice says nothing new.
    """
    each = {(planned.said, transcript.text): (planned, transcript) for planned, transcript in transcripts}
    ranked = sorted(each.values(), key=lambda pair: -word_errors(pair[0].said, pair[1].text))
    wrong = sum(word_errors(planned.said, transcript.text) > 0 for planned, transcript in transcripts)
    wrong_texts = sum(word_errors(said, heard) > 0 for said, heard in each)
    title = f"What was said, and what was heard ({wrong} of {len(transcripts)} with errors)"
    table = Table("", "said", "heard", title=title, title_justify="left")
    shown = min(TEXT_ROWS // 2, wrong_texts)
    for planned, transcript in ranked[:shown] + ranked[wrong_texts:][: TEXT_ROWS - shown]:
        said, heard = compared(planned.said, transcript.text)
        table.add_row(planned.language, said, heard)
    return table


def compared(said: str, heard: str) -> tuple[Text, Text]:
    """Both texts, word by word as they are compared, with the words that differ marked."""
    left, right = Text(), Text()
    for one, other in align(words_of(said), words_of(heard)):
        style = "" if one == other else "bold red"
        left.append(f"{one} " if one else "", style)
        right.append(f"{other} " if other else "· ", style)
    return left, right


def batches_table(batches: Sequence[RanBatch]) -> Table:
    """The batches that ran, the first ones if there are many."""
    shown = batches[:BATCH_ROWS]
    more = f", the first {len(shown)}" if len(shown) < len(batches) else ""
    table = Table(title=f"The {len(batches)} batches that ran{more}", title_justify="left")
    table.add_column("batch")
    table.add_column("size", justify="right")
    table.add_column("closed because")
    for heading in ("waited s", "prepared s", "engine s", "audio s"):
        table.add_column(heading, justify="right")
    for batch in shown:
        table.add_row(
            batch.batch_id.rpartition("/")[2],
            str(batch.size),
            batch.reason,
            f"{batch.waited:.3f}",
            f"{batch.prepared:.3f}",
            f"{batch.engine:.3f}",
            f"{batch.audio_seconds:.1f}",
        )
    return table


def failures_table(runs: Sequence[Run]) -> Table:
    """The requests that have no transcript, and why."""
    table = Table("run", "request", "error", title="Failed", title_justify="left", title_style="red")
    for run in runs:
        for request_id, outcome in run.outcomes.items():
            if isinstance(outcome, TranscriptionError):
                table.add_row(run.name, request_id, str(outcome))
    return table


def throughput_table(figures: Figures) -> Table:
    """One by one against batched."""
    title = f"{len(figures.batched.plan)} audio segments on {figures.cores} cores"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("one by one", "batched", ""):
        table.add_column(heading, justify="right")
    alone, together = figures.one_by_one, figures.batched
    for name, before, after in (
        ("audio s/s", alone.audio_per_second, together.audio_per_second),
        ("requests/s", alone.requests_per_second, together.requests_per_second),
    ):
        table.add_row(name, f"{before:.1f}", f"{after:.1f}", f"×{after / before:.2f}" if before else "")
    table.add_row(
        "requests to a batch", f"{alone.mean_batch_size:.1f}", f"{together.mean_batch_size:.1f}", ""
    )
    table.add_row("seconds", f"{alone.seconds:.1f}", f"{together.seconds:.1f}", "")
    table.add_row("word error rate", f"{alone.word_error_rate:.1%}", f"{together.word_error_rate:.1%}", "")
    table.add_row("same text as alone", "", f"{figures.same_text}/{len(together.plan)}", "")
    return table
