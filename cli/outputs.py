"""Where transcripts go: standard output, or a file for each input."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    """How transcripts are written: the names of `protocol.formats.FORMATS`, and openai-whisper's `all`."""

    TEXT = "text"
    JSON = "json"
    VERBOSE_JSON = "verbose_json"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"
    ALL = "all"


#: What `all` is: what openai-whisper writes.
EVERY = (Form.TEXT, Form.JSON, Form.SRT, Form.VTT, Form.TSV)

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

    @property
    def forms(self) -> Sequence[Form]:
        """In which each transcript is written."""
        return EVERY if self.form is Form.ALL else (self.form,)

    def prepare(self, inputs: int) -> None:
        """Refuse what cannot be done for this many inputs; make the folder."""
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ended(Exit.USAGE, f"{self.folder} cannot be made: {error.strerror}") from error
        elif self.form is Form.ALL:
            raise ended(Exit.USAGE, "all formats do not fit into one output: give --output-dir")
        elif self.as_json and self.form not in (Form.TEXT, Form.JSON):
            raise ended(Exit.USAGE, f"--json and {self.form} on one output: --output-dir takes one of them")
        elif self.form in WHOLE_FILES and inputs > 1:
            raise ended(Exit.USAGE, f"{inputs} inputs do not fit into one {self.form}: give --output-dir")

    def places(self, names: Sequence[str]) -> list[Path | None]:
        """The file for each input, named after it and no other's; None for standard output.

        Of several forms it is that of the first; the others have its name and their suffix.
        """
        if self.folder is None:
            return [None] * len(names)
        return [*file_names(names, self.folder, *map(_suffix, self.forms))]

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
            for form, file in self._files(place):
                failed |= not self._save(name, form, file, outcome)
        if self.as_json or (self.form is Form.JSON and place is None):
            written = [] if place is None or failed else [str(file) for _, file in self._files(place)]
            say_json(_line(name, written, outcome, failures))
        elif place is None and isinstance(outcome, Transcript):
            say(self._written(outcome, self.form))
        return failed

    def _files(self, place: Path) -> Iterator[tuple[Form, Path]]:
        """The file of each form."""
        stem = place.name.removesuffix(_suffix(self.forms[0]))
        for form in self.forms:
            yield form, place.with_name(stem + _suffix(form))

    def _save(self, name: str, form: Form, place: Path, transcript: Transcript) -> bool:
        document = self._written(transcript, form)
        try:
            place.write_text(document if document.endswith("\n") else document + "\n", "utf-8", newline="\n")
        except OSError as error:
            complain(f"{name}: {place} cannot be written: {error.strerror}")
            return False
        return True

    def _written(self, transcript: Transcript, form: Form) -> str:
        return write(transcript, form, max_line_width=self.max_line_width, max_line_count=self.max_line_count)


def file_names(names: Sequence[str], folder: Path, *suffixes: str) -> list[Path]:
    """A file in `folder` for each input: its name with another suffix; of several suffixes, the first.

    Where inputs of different folders have the same name the later ones are numbered, and said so. No
    file is another input's, nor an input itself; upper and lower case count as the same.
    """
    stems = [Path(name).stem or name for name in names]
    taken = {os.path.abspath(name).casefold() for name in names}
    wanted = {key for stem in stems for key in _keys(folder, stem, suffixes)}
    numbers: Counter[str] = Counter()
    found = []
    for name, stem in zip(names, stems, strict=True):
        chosen = stem
        while (keys := _keys(folder, chosen, suffixes)) & taken or (chosen != stem and keys & wanted):
            numbers[stem.casefold()] += 1
            chosen = f"{stem}-{numbers[stem.casefold()] + 1}"
        taken |= keys
        found.append(folder / (chosen + suffixes[0]))
        if chosen != stem:
            complain(f"{name}: goes to {found[-1]}, since {stem}{suffixes[0]} is another's")
    return found


def _keys(folder: Path, stem: str, suffixes: Sequence[str]) -> set[str]:
    return {os.path.abspath(folder / (stem + suffix)).casefold() for suffix in suffixes}


def _suffix(form: Form) -> str:
    return SUFFIXES.get(form, f".{form}")


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
    written: Sequence[str],
    outcome: Transcript | TranscriptionError,
    failures: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    line: dict[str, Any] = {"input": name}
    if written:
        line["output"] = written[0] if len(written) == 1 else written
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
