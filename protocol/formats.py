"""How a transcript is written down: plain text, JSON, OpenAI's verbose JSON, subtitles, a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, get_args

from protocol.cues import Cue, cues, whole_segments
from protocol.errors import RequestError
from protocol.transcript import Segment, Transcript
from protocol.wire import encode_transcript

OutputFormat = Literal["text", "json", "verbose_json", "srt", "vtt", "tsv"]
FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)

#: Columns of a subtitle's line, and lines of a subtitle: what Netflix's guide for Latin scripts allows,
#: and what fits on any screen.
MAX_LINE_WIDTH = 42
MAX_LINE_COUNT = 2


def write(
    transcript: Transcript,
    form: str,
    *,
    max_line_width: int = MAX_LINE_WIDTH,
    max_line_count: int = MAX_LINE_COUNT,
) -> str:
    """The transcript in one of `FORMATS`; see `protocol.transcript.Transcript.to`."""
    _check("max_line_width", max_line_width, 2)  # a wide character takes two columns
    _check("max_line_count", max_line_count, 1)
    if form == "text":
        return transcript.text.strip()
    if form == "json":
        return json.dumps(encode_transcript(transcript), ensure_ascii=False)
    if form == "verbose_json":
        return json.dumps(_verbose(transcript), ensure_ascii=False)
    if form == "tsv":
        return _tsv(whole_segments(transcript))
    if form not in FORMATS:
        raise RequestError(
            f"the format is {repr(form)[:40]}: expected one of {', '.join(FORMATS)}", "BAD_OPTION"
        )
    shown = cues(transcript, max_line_width=max_line_width, max_line_count=max_line_count)
    return _srt(shown) if form == "srt" else _vtt(shown)


def _verbose(transcript: Transcript) -> dict[str, Any]:
    """The fields of OpenAI's `TranscriptionVerbose`; `language` is the code where OpenAI has the name.

    `words` is there if the request asked for `word_timestamps` and anything was said.
    """
    verbose = {
        "language": transcript.language,
        "duration": transcript.duration,
        "text": transcript.text.strip(),
        "segments": [_verbose_segment(segment) for segment in transcript.segments],
    }
    if transcript.words is not None:
        verbose["words"] = [
            {"word": word.word.strip(), "start": word.start, "end": word.end} for word in transcript.words
        ]
    return verbose


def _verbose_segment(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        "seek": 0,  # where Whisper's 30 s window begins, in frames: an audio segment is one window
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }


def _srt(shown: Sequence[Cue]) -> str:
    """SubRip. It has no escapes: an arrow, which readers take for a line of times, loses its head."""
    blocks = (
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        + "".join(f"{line.replace('-->', '->')}\n" for line in cue.lines)
        for number, cue in enumerate(shown, start=1)
    )
    return "\n".join(blocks)


def _vtt(shown: Sequence[Cue]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/)."""
    blocks = (
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
        + "".join(f"{_escaped(line)}\n" for line in cue.lines)
        for cue in shown
    )
    return "WEBVTT\n" + "".join(blocks)


def _tsv(shown: Sequence[Cue]) -> str:
    """Tab-separated values with a header, times in milliseconds: openai-whisper's columns."""
    rows = (f"{cue.start}\t{cue.end}\t{cue.lines[0]}\n" for cue in shown)
    return "start\tend\ttext\n" + "".join(rows)


def _escaped(line: str) -> str:
    """`line` with the characters that mean something in WebVTT written out."""
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"


def _check(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RequestError(
            f"{name} is {repr(value)[:40]}: expected a whole number from {least} up", "BAD_OPTION"
        )
