"""Where transcripts go: a file for each input that no other input's ever replaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.outputs import Form, Output, file_names
from protocol.errors import EngineError
from protocol.formats import FORMATS, OutputFormat
from protocol.transcript import Segment, Transcript

HEARD = Transcript(
    request_id="r",
    text="Hello.",
    language="en",
    language_probability=1.0,
    duration=1.0,
    segments=(Segment(id=0, start=0.0, end=1.0, text="Hello."),),
)


def test_a_file_is_named_after_its_input(tmp_path: Path) -> None:
    """The input's name, in the folder that was given, with the format's suffix."""
    assert file_names(["a/one.wav", "two", "three.x.mp3"], tmp_path, ".srt") == [
        tmp_path / "one.srt",
        tmp_path / "two.srt",
        tmp_path / "three.x.srt",
    ]


def test_inputs_of_the_same_name_get_files_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The later ones are numbered, past names that are other inputs', and the user is told."""
    names = ["a/x.wav", "b/x.wav", "x-2.wav", "c/X.flac"]
    files = [path.name for path in file_names(names, tmp_path, ".txt")]
    assert files == ["x.txt", "x-3.txt", "x-2.txt", "X-4.txt"]
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in told] == ["b/x.wav", "c/X.flac"]


def test_an_input_is_never_written_over(tmp_path: Path) -> None:
    """An input that is called like an output stays as it is."""
    audio = tmp_path / "talk.txt"
    assert file_names([str(audio)], tmp_path, ".txt") == [tmp_path / "talk-2.txt"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.from_regex(r"([ab]/)?[xX](-[1-4])?\.(wav|txt)", fullmatch=True), unique=True, max_size=12))
def test_no_two_inputs_share_a_file(tmp_path: Path, names: list[str]) -> None:
    """Whatever the names are, there are as many files as inputs, even where case does not count."""
    files = file_names(names, tmp_path, ".txt")
    assert len({str(path).casefold() for path in files}) == len(names)


@pytest.mark.parametrize("form", FORMATS)
def test_each_form_has_its_file(
    tmp_path: Path, form: OutputFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    """The document goes into the file, and standard output stays empty."""
    output = Output(form=Form(form), folder=tmp_path / "new" / "folder")
    output.prepare(1)
    (place,) = output.places(["one.wav"])
    assert place is not None
    assert not output.show("one.wav", place, HEARD)
    assert place.read_text("utf-8").rstrip("\n") == HEARD.to(form).rstrip("\n")
    assert capsys.readouterr().out == ""


def test_all_is_a_file_of_each_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """openai-whisper's five, all named after the input; their places are in its line of JSON."""
    output = Output(form=Form.ALL, folder=tmp_path, as_json=True)
    (place,) = output.places(["calls/one.two.wav"])
    assert not output.show("calls/one.two.wav", place, HEARD)
    suffixes: dict[str, OutputFormat] = {
        "txt": "text",
        "json": "json",
        "srt": "srt",
        "vtt": "vtt",
        "tsv": "tsv",
    }
    for suffix, form in suffixes.items():
        said = (tmp_path / f"one.two.{suffix}").read_text("utf-8")
        assert said.rstrip("\n") == HEARD.to(form).rstrip("\n")
    assert len(list(tmp_path.iterdir())) == len(suffixes)
    written = json.loads(capsys.readouterr().out)["output"]
    assert written == [str(tmp_path / f"one.two.{suffix}") for suffix in suffixes]


def test_of_all_files_none_is_an_input(tmp_path: Path) -> None:
    """One that is called like a later one of them makes room for none of them."""
    names = [str(tmp_path / "talk.wav"), str(tmp_path / "talk.vtt")]
    places = Output(form=Form.ALL, folder=tmp_path).places(names)
    assert places == [tmp_path / "talk-2.txt", tmp_path / "talk-3.txt"]


def test_a_file_of_several_that_cannot_be_written_keeps_none_from_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, and the input has failed."""
    (tmp_path / "one.txt").mkdir()
    assert Output(form=Form.ALL, folder=tmp_path).show("one.wav", tmp_path / "one.txt", HEARD)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert (tmp_path / "one.tsv").is_file()


def test_a_failure_leaves_no_file_and_has_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json every input has its line, which says where its file is or what was wrong."""
    output = Output(form=Form.SRT, folder=tmp_path, as_json=True)
    one, two = output.places(["one.wav", "two.wav"])
    assert not output.show("one.wav", one, HEARD)
    assert output.show("two.wav", two, EngineError("broken"))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["output"], first["text"]) == (str(tmp_path / "one.srt"), "Hello.")
    assert (second["error"]["code"], "output" in second) == ("ENGINE_ERROR", False)
    assert [path.name for path in tmp_path.iterdir()] == ["one.srt"]


def test_a_file_that_cannot_be_written_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The input is named, and the others go on."""
    place = tmp_path / "taken.txt"
    place.mkdir()
    assert Output(folder=tmp_path).show("one.wav", place, HEARD)
    assert capsys.readouterr().err.startswith(f"segue: one.wav: {place} cannot be written")


@pytest.mark.parametrize(
    ("output", "inputs", "why"),
    [
        (Output(form=Form.VTT), 2, "2 inputs do not fit into one vtt"),
        (Output(form=Form.SRT, as_json=True), 1, "--output-dir takes one of them"),
        (Output(folder=Path(__file__) / "x"), 1, "cannot be made"),
        (Output(form=Form.ALL), 1, "all formats do not fit into one output"),
    ],
)
def test_what_cannot_be_done_is_wrong_usage(
    output: Output, inputs: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is submitted."""
    with pytest.raises(typer.Exit) as ended:
        output.prepare(inputs)
    assert ended.value.exit_code == 2
    assert why in capsys.readouterr().err
