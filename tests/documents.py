"""The documents of the repository and their code blocks: which are run, which are not, and why.

A block in a language that somebody could type (`RUN`) is run by ``tests/integration/test_docs_examples.py``,
unless the line above it says otherwise, in a comment that readers do not see:

    <!-- not run: why it cannot be -->
    <!-- in another terminal: a regular expression of the line that says that it is ready -->
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Built or installed, so not ours to check; neither is what begins with a dot.
FOREIGN = {"build", "dist"}

#: What a reader could type. `console` has a `$` before each command, and what it says below.
RUN = {"python", "bash", "console"}

#: What is only to be looked at: pictures, files, and what something prints.
SHOWN = {"", "text", "yaml", "lua"}

NOT_RUN = "not run: "
ELSEWHERE = "in another terminal: "

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of a document."""

    line: int
    """Where its code begins, counted from 1."""
    language: str
    code: str
    mark: str
    """What the comment above it says; empty if there is none."""

    @property
    def is_run(self) -> bool:
        """Whether it is run, here or in another terminal."""
        return self.language in RUN and not self.mark.startswith(NOT_RUN)

    @property
    def ready(self) -> str | None:
        """For one that goes on in another terminal: the pattern of the line that says that it is ready."""
        return self.mark.removeprefix(ELSEWHERE) if self.mark.startswith(ELSEWHERE) else None

    def commands(self) -> Iterator[tuple[str, str]]:
        """What a reader types, command by command, and what it says as far as that is shown."""
        if self.language == "console":
            for part in re.split(r"^\$ ", self.code, flags=re.MULTILINE)[1:]:
                command, _, said = part.partition("\n")
                yield command, said
        elif self.language == "bash":
            yield from ((line, "") for line in self.code.splitlines() if line)

    def trouble(self) -> str | None:
        """What is wrong with the block itself, if anything is."""
        if self.language not in RUN | SHOWN:
            return f"is {self.language}, which is neither run nor only shown"
        if self.language in SHOWN:
            typed = re.search(r"^\$ ", self.code, re.MULTILINE)
            return "shows a command, so it must be `console`" if typed else None
        if self.mark and not re.fullmatch(f"{NOT_RUN}.{{10,}}|{ELSEWHERE}.+", self.mark):
            return f"is marked {self.mark!r}, which says neither why it is not run nor when it is ready"
        return None


def ours(pattern: str) -> list[Path]:
    """The files of the repository, tracked or not yet, that match `pattern`."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    inside = [path for folder in folders if folder.name not in FOREIGN for path in folder.rglob(pattern)]
    return sorted([*ROOT.glob(pattern), *inside])


def pages() -> list[Path]:
    """What users read: the README and all below docs/."""
    return [path for path in ours("*.md") if path == ROOT / "README.md" or path.is_relative_to(ROOT / "docs")]


def shown(path: Path) -> str:
    """The name of a document as a reader knows it."""
    return str(path.relative_to(ROOT))


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document with this text, in order."""
    return [
        Block(
            line=text.count("\n", 0, match.start("code")) + 1,
            language=match["language"],
            code=match["code"],
            mark=match["mark"] or "",
        )
        for match in _BLOCK.finditer(text)
    ]


def prose(text: str) -> str:
    """The text of a document without its fenced blocks."""
    return _BLOCK.sub("", text)


def words_typed(text: str) -> Iterator[list[str]]:
    """The words of every command in the blocks of a document, without what is set before them."""
    typed = [command for block in blocks(text) for command, _ in block.commands()]
    for part in (part for line in typed for part in re.split(r"\s(?:\||&&)\s", line)):
        words = shlex.split(part, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            del words[0]
        if words:
            yield [Path(words[0]).name, *words[1:]]
