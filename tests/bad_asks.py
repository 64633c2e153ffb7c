"""Everything known to go wrong with what is asked beside the sound, and its code: one list for every door."""

from __future__ import annotations

from typing import Any

#: Case 51: what is no id of a request, whatever door it comes through.
BAD_IDS: list[object] = [
    "",
    "x" * 129,
    "x" * 300,
    "a b",
    "a\n",
    "a\0",
    "../x",
    "{hash}",
    "\x06\x16",
    "🙂",
    "\ud800",
    7,
    True,
    None,
]

#: Case 53: names of other systems, numbers of Celery's, and what JSON and Python have besides.
BAD_PRIORITIES: list[object] = ["high", "", "URGENT", 11, 0, -1, True, 1e309, None, ["urgent"]]

#: Case 54: by name of the option, with the code.
BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"language": "klingon"}, "BAD_LANGUAGE"),
    ({"language": ""}, "BAD_LANGUAGE"),
    ({"language": 7}, "BAD_LANGUAGE"),
    ({"language": ["en"]}, "BAD_LANGUAGE"),
    ({"task": "sing"}, "BAD_OPTION"),
    ({"task": None}, "BAD_OPTION"),
    ({"initial_prompt": "x" * 1_000_000}, "PROMPT_TOO_LONG"),
    ({"hotwords": "x" * 1_000_000}, "PROMPT_TOO_LONG"),
    ({"initial_prompt": "a\0b"}, "BAD_OPTION"),
    ({"initial_prompt": "a\x1b[31mb"}, "BAD_OPTION"),
    ({"colour": "red"}, "BAD_OPTION"),
]

#: Notes that no request may have.
BAD_METADATA: list[object] = [
    "call",
    ["call"],
    {"call": 7},
    {7: "call"},
    {"call": None},
    {"call": "\ud800"},
    {"call": "x" * 513},
    {"x" * 65: ""},
    {str(number): "" for number in range(17)},
]

#: Case 55: what is no number of seconds from now.
BAD_LENGTHS_OF_TIME: list[object] = [
    0, -1, -0.5, float("nan"), float("inf"), 1e308, 253_402_300_799, True, "soon", "5", [5]
]  # fmt: skip

#: Case 55: what is no time on Redis's clock, in seconds since the epoch.
BAD_TIMES: list[object] = [-1, float("nan"), float("inf"), 1e308, 253_402_300_799, True, "soon", "5", [5]]

#: Case 48: the alphabet, line breaks, the alphabet of URLs, padding, bytes that are none of it.
BAD_BASE64: list[object] = [
    "%%",
    "AA AA",
    "AA\nAA",
    "-_-_",
    "AAA",
    "A",
    "AA=A",
    "ÄÖÜß",
    3,
    None,
    ["AAAA"],
]

#: Case 57: what is no version of a message that anybody has ever written.
BAD_VERSIONS: list[object] = [0, 2, -1, 1.5, "1", None, [1]]


def shown(value: object) -> str:
    """`value` as part of the name of a test."""
    return ascii(value)[:40]
