"""Where transcripts go: standard output, or a file for each input."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import Exit, complain, ended
from cli.saying import CannotPrint, say, say_json
from protocol.errors import Overloaded, TranscriptionError
from protocol.formats import MAX_LINE_COUNT, MAX_LINE_WIDTH, write
from protocol.transcript import Transcript
from protocol.wire import encode_transcript

if TYPE_CHECKING:
    from producer import RecordingTicket, Ticket


class Form(StrEnum):
    """How transcripts are written: the names of `protocol.formats.FORMATS`."""

    TEXT = "text"
    JSON = "json"
    VERBOSE_JSON = "verbose_json"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"


SUFFIXES = {Form.TEXT: ".txt", Form.JSON: ".json", Form.VERBOSE_JSON: ".json"}

#: Formats of which several, one after the other, are not that format any more.
WHOLE_FILES = frozenset({Form.SRT, Form.VTT, Form.TSV})


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What was asked for."""

    form: Form = Form.TEXT
    folder: Path | None = None
    """Where files go; None for standard output."""
    as_json: bool = False
    """Whether standard output gets a line of JSON for each input, whatever goes into files."""
    max_line_width: int = MAX_LINE_WIDTH
    max_line_count: int = MAX_LINE_COUNT

    def prepare(self, inputs: int) -> None:
        """Refuse what cannot be done for this many inputs; make the folder."""
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ended(Exit.USAGE, f"{self.folder} cannot be made: {error.strerror}") from error
        elif self.as_json and self.form not in (Form.TEXT, Form.JSON):
            raise ended(Exit.USAGE, f"--json and {self.form} on one output: --output-dir takes one of them")
        elif self.form in WHOLE_FILES and inputs > 1:
            raise ended(Exit.USAGE, f"{inputs} inputs do not fit into one {self.form}: give --output-dir")

    def places(self, names: Sequence[str]) -> list[Path | None]:
        """The file for each input, named after it and no other's; None for standard output."""
        if self.folder is None:
            return [None] * len(names)
        return [*file_names(names, self.folder, SUFFIXES.get(self.form, f".{self.form}"))]

    def show(
        self,
        name: str,
        place: Path | None,
        outcome: Transcript | TranscriptionError,
        failures: Sequence[Mapping[str, Any]] | None = None,
    ) -> bool:
        """Write one outcome where it belongs; returns whether something is wrong with it.

        `failures` is what is missing of a recording; JSON says so.
        """
        failed = isinstance(outcome, TranscriptionError)
        if isinstance(outcome, TranscriptionError):
            complain(f"{name}: {outcome}")
        elif place is not None:
            failed = not self._save(name, place, outcome)
        if self.as_json or (self.form is Form.JSON and place is None):
            say_json(_line(name, place if not failed else None, outcome, failures))
        elif place is None and isinstance(outcome, Transcript):
            say(self._written(outcome))
        return failed

    def _save(self, name: str, place: Path, transcript: Transcript) -> bool:
        document = self._written(transcript)
        try:
            place.write_text(document if document.endswith("\n") else document + "\n", "utf-8", newline="\n")
        except OSError as error:
            complain(f"{name}: {place} cannot be written: {error.strerror}")
            return False
        return True

    def _written(self, transcript: Transcript) -> str:
        return write(
            transcript, self.form, max_line_width=self.max_line_width, max_line_count=self.max_line_count
        )


def file_names(names: Sequence[str], folder: Path, suffix: str) -> list[Path]:
    """A file in `folder` for each input: its name with another suffix.

    Where inputs of different folders have the same name the later ones are numbered, and said so. No
    file is another input's, nor an input itself; upper and lower case count as the same.
    """
    stems = [Path(name).stem or name for name in names]
    taken = {os.path.abspath(name).casefold() for name in names}
    wanted = {_key(folder, stem, suffix) for stem in stems}
    numbers: Counter[str] = Counter()
    found = []
    for name, stem in zip(names, stems, strict=True):
        chosen = stem
        while _key(folder, chosen, suffix) in taken or (
            chosen != stem and _key(folder, chosen, suffix) in wanted
        ):
            numbers[stem.casefold()] += 1
            chosen = f"{stem}-{numbers[stem.casefold()] + 1}"
        taken.add(_key(folder, chosen, suffix))
        found.append(folder / (chosen + suffix))
        if chosen != stem:
            complain(f"{name}: goes to {found[-1]}, since {stem}{suffix} is another's")
    return found


def _key(folder: Path, stem: str, suffix: str) -> str:
    return os.path.abspath(folder / (stem + suffix)).casefold()


def show_submitted(name: str, entry: Ticket | RecordingTicket | TranscriptionError, *, as_json: bool) -> None:
    """Print the id of what was submitted; what was refused is named on standard error, and in JSON."""
    if isinstance(entry, TranscriptionError):
        complain(f"{name}: {entry}")
        if as_json:
            say_json({"input": name, "error": _described(entry)})
        return
    try:
        if as_json:
            say_json({"input": name, "request_id": entry.request_id})
        else:
            say(entry.request_id)
    except (CannotPrint, BrokenPipeError):
        complain(f"{name}: goes on as request {entry.request_id}")
        raise


def _line(
    name: str,
    place: Path | None,
    outcome: Transcript | TranscriptionError,
    failures: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    line: dict[str, Any] = {"input": name}
    if place is not None:
        line["output"] = str(place)
    if isinstance(outcome, Transcript):
        line |= encode_transcript(outcome)
    else:
        line["error"] = _described(outcome)
    if failures is not None:
        line["failures"] = failures
    return line


def _described(error: TranscriptionError) -> dict[str, Any]:
    described: dict[str, Any] = {"code": error.code, "message": error.message, "retryable": error.retryable}
    if isinstance(error, Overloaded):
        described["retry_after"] = error.retry_after
    return described
