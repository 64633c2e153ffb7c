"""Promise: the documents are true where a program can check it: links, names, commands, codes, code."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import config, main
from protocol.errors import BY_NAME

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocol", "batching", "producer", "workers", "cli", "bench")

#: Built or installed, so not ours to check; neither is what begins with a dot.
FOREIGN = {"build", "dist"}

_FENCE = re.compile(r"^ *```(\w*) *\n(.*?)^ *``` *$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MODULE = re.compile(r"`([\w./-]+\.py)`")
_ERROR_CODE = re.compile(r"^\| `([A-Z0-9_]+)` \|", re.MULTILINE)


def ours(pattern: str) -> list[Path]:
    """The files of the repository, tracked or not yet, that match `pattern`."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    inside = [path for folder in folders if folder.name not in FOREIGN for path in folder.rglob(pattern)]
    return sorted([*ROOT.glob(pattern), *inside])


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


DOCUMENTS = pytest.mark.parametrize("document", ours("*.md"), ids=shown)


def blocks(document: Path, *languages: str) -> Iterator[str]:
    """The fenced blocks of `document` in these languages."""
    for language, block in _FENCE.findall(document.read_text(encoding="utf-8")):
        if language in languages:
            yield block


def prose(document: Path) -> str:
    """The text of `document` without its fenced blocks."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    slugs = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(document)))
    return {slug.strip().replace(" ", "-") for slug in slugs}


def commands(document: Path) -> Iterator[list[str]]:
    """What a reader would type: all lines of a shell block, and those after a `$` in any other."""
    lines = [line for block in blocks(document, "bash", "sh") for line in block.splitlines()]
    for block in blocks(document, "", "console", "text"):
        lines += [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    for part in (part for line in lines for part in re.split(r"\s(?:\||&&)\s", line)):
        words = shlex.split(part, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            del words[0]
        if words:
            yield [Path(words[0]).name, *words[1:]]


def test_documents_are_found() -> None:
    """The checks below look at all of them."""
    found = {shown(document) for document in ours("*.md")}
    assert found >= {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/decisions/README.md"}


@DOCUMENTS
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link leads to a file of the repository and, after a `#`, to one of its headings."""
    dead = []
    for link in _LINK.findall(_CODE_SPAN.sub("", prose(document))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@DOCUMENTS
def test_modules_that_are_named_exist(document: Path) -> None:
    """A Python file in backticks is one of the repository, by its full path or the end of it."""
    known = [f"/{shown(path)}" for path in ours("*.py")]
    named = _MODULE.findall(prose(document))
    assert not [name for name in named if not any(path.endswith(f"/{name}") for path in known)]


@DOCUMENTS
def test_commands_exist(document: Path) -> None:
    """Every `segue` command in a block has a verb of the CLI, with options of that verb."""
    for name, *words in commands(document):
        if name == "segue":
            check_command(typer.main.get_command(main.app), words)


def check_command(command: Any, words: list[str]) -> None:
    """Raise AssertionError unless `words` begin with verbs of `command` and go on with its options."""
    if words and words[0] == "config":
        command, words = typer.main.get_command(config.app), words[1:]
    while verbs := getattr(command, "commands", None):
        assert words, f"{command.name} needs one of {sorted(verbs)}"
        if words[0] == "--help":
            return
        assert words[0] in verbs, f"{words[0]} is none of {sorted(verbs)}"
        command, words = verbs[words[0]], words[1:]
    known = {"--help", *(option for parameter in command.params for option in parameter.opts)}
    known |= {option for parameter in command.params for option in parameter.secondary_opts}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    takes_more = command.context_settings.get("ignore_unknown_options", False)
    assert takes_more or given <= known, f"{given - known} are no options of {command.name}"


@pytest.mark.parametrize("words", ["transcribe --colour a.wav", "transscribe a.wav", "config chek", ""])
def test_wrong_commands_are_noticed(words: str) -> None:
    """The check above refuses an unknown verb and an unknown option."""
    with pytest.raises(AssertionError):
        check_command(typer.main.get_command(main.app), words.split())


@DOCUMENTS
def test_make_targets_exist(document: Path) -> None:
    """Every `make` in a block names a target of the Makefile."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {words[1] for words in commands(document) if words[0] == "make" and len(words) > 1}
    assert asked <= targets


@DOCUMENTS
def test_python_compiles(document: Path) -> None:
    """Every Python block is Python."""
    for block in blocks(document, "python"):
        compile(block, shown(document), "exec")


def test_every_error_code_is_explained() -> None:
    """The table of error codes has each code that the source can give, once, and no other."""
    listed = _ERROR_CODE.findall((ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(error_codes())


def error_codes() -> set[str]:
    """The codes in the source: each class's own, and those that errors are made with."""
    codes = {kind.default_code for kind in BY_NAME.values()}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in BY_NAME:
                given = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "code")]
                codes |= {str(code.value) for code in given if isinstance(code, ast.Constant)}
    return codes
