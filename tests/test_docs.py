"""Promise: the documents are true where a program can check it: links, names, commands, codes, code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import config, dead, main
from cli.bench import command as bench
from protocol.errors import BY_NAME, TranscriptionError
from tests.documents import ROOT, blocks, ours, pages, prose, shown, words_typed

PACKAGES = ("protocol", "batching", "producer", "workers", "cli", "bench")

_CODE_SPAN = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MODULE = re.compile(r"`([\w./-]+\.py)`")
_CODE = re.compile(r"`([^`]+)`")
_FUNCTION = re.compile(r"^ *def (\w+)", re.MULTILINE)
_ERROR_CODE = re.compile(r"^\| `([A-Z0-9_]+)` \|", re.MULTILINE)

DOCUMENTS = pytest.mark.parametrize("document", ours("*.md"), ids=shown)
PAGES = pytest.mark.parametrize("page", pages(), ids=shown)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    found = _HEADING.findall(prose(document.read_text("utf-8")))
    slugs = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in found)
    return {slug.strip().replace(" ", "-") for slug in slugs}


def test_documents_are_found() -> None:
    """The checks below look at all of them."""
    found = {shown(document) for document in ours("*.md")}
    assert found >= {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/decisions/README.md"}


@DOCUMENTS
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link leads to a file of the repository and, after a `#`, to one of its headings."""
    dead = []
    for link in _LINK.findall(_CODE_SPAN.sub("", prose(document.read_text("utf-8")))):
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
    named = _MODULE.findall(prose(document.read_text("utf-8")))
    assert not [name for name in named if not any(path.endswith(f"/{name}") for path in known)]


#: The tables in which every line, a promise or a threat, names the tests that hold it.
HELD_BY_TESTS = {"docs/operations.md": "| Fault |", "docs/security.md": "| Threat |"}


def untested(lines: list[str]) -> list[str]:
    """The lines of a table whose last column names no test, or one that does not exist."""
    defined = {shown(path): _FUNCTION.findall(path.read_text("utf-8")) for path in ours("*.py")}
    wrong = []
    for line in lines:
        functions: list[str] = []
        names = _CODE.findall(line.rstrip().rstrip("|").rpartition("|")[2])
        for name in names:
            if name.endswith(".py"):
                functions = next(
                    (all for path, all in defined.items() if f"/{path}".endswith(f"/{name}")), []
                )
            if not functions or (name.startswith("test_") and name not in functions and ".py" not in name):
                wrong.append(f"{name}: {line}")
        if not any(name.endswith(".py") for name in names):
            wrong.append(line)
    return wrong


@pytest.mark.parametrize(("document", "heading"), HELD_BY_TESTS.items())
def test_every_fault_and_threat_names_tests_that_exist(document: str, heading: str) -> None:
    """A line of these tables without a test would be a promise that nobody notices when it is broken."""
    text = (ROOT / document).read_text("utf-8")
    rows = text.partition(heading)[2].partition("\n\n")[0].splitlines()[2:]
    assert len(rows) >= 20
    assert untested(rows) == []


@pytest.mark.parametrize(
    "row",
    [
        "| a fault | nothing | |",
        "| a fault | nothing | `segue bench faults` |",
        "| a fault | nothing | `test_docs.py`: `test_that_nobody_wrote` |",
        "| a fault | nothing | `test_no_such_file.py` |",
    ],
)
def test_a_line_without_a_test_is_noticed(row: str) -> None:
    """The check above refuses a line without a test, and names that are none."""
    assert untested([row])


@DOCUMENTS
def test_commands_exist(document: Path) -> None:
    """Every `segue` command in a block has a verb of the CLI, with options of that verb."""
    for name, *words in words_typed(document.read_text("utf-8")):
        if name == "segue":
            check_command(typer.main.get_command(main.app), words)


#: Verbs that have verbs of their own, which the command itself reads only when they are asked for.
GROUPS = {"config": config.app, "dead": dead.app, "bench": bench.app}


def check_command(command: Any, words: list[str]) -> None:
    """Raise AssertionError unless `words` begin with verbs of `command` and go on with its options."""
    if words and words[0] in GROUPS:
        command, words = typer.main.get_command(GROUPS[words[0]]), words[1:]
    while verbs := getattr(command, "commands", None):
        assert words, f"{command.name} needs one of {sorted(verbs)}"
        if words[0] == "--help":
            return
        assert words[0] in verbs, f"{words[0]} is none of {sorted(verbs)}"
        command, words = verbs[words[0]], words[1:]
    known = {"--help", *(option for parameter in command.params for option in parameter.opts)}
    known |= {option for parameter in command.params for option in parameter.secondary_opts}
    given = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    takes_more = command.context_settings.get("ignore_unknown_options", False)
    assert takes_more or given <= known, f"{given - known} are no options of {command.name}"


@pytest.mark.parametrize(
    "words",
    ["transcribe --colour a.wav", "transscribe a.wav", "config chek", "dead lost", "bench --json", ""],
)
def test_wrong_commands_are_noticed(words: str) -> None:
    """The check above refuses an unknown verb and an unknown option."""
    with pytest.raises(AssertionError):
        check_command(typer.main.get_command(main.app), words.split())


@DOCUMENTS
def test_make_targets_exist(document: Path) -> None:
    """Every `make` in a block names a target of the Makefile."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    typed = words_typed(document.read_text("utf-8"))
    asked = {words[1] for words in typed if words[0] == "make" and len(words) > 1}
    assert asked <= targets


@DOCUMENTS
def test_python_compiles(document: Path) -> None:
    """Every Python block is Python."""
    for block in blocks(document.read_text("utf-8")):
        if block.language == "python":
            compile(block.code, shown(document), "exec")


@PAGES
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    """What a reader could type is run by `test_docs_examples.py`, or the line above it says why not."""
    text = page.read_text("utf-8")
    found = blocks(text)
    assert len(found) * 2 == len(re.findall(r"^ *```", text, re.MULTILINE)), "a fence that is not understood"
    assert not [f"line {block.line} {trouble}" for block in found if (trouble := block.trouble())]


@pytest.mark.parametrize(
    "text",
    [
        "```\n$ segue queue\n```\n",
        "```ruby\nputs 1\n```\n",
        "<!-- not ran: the model is large -->\n```python\nprint(1)\n```\n",
        "<!-- not run: -->\n```python\nprint(1)\n```\n",
    ],
)
def test_wrong_blocks_are_noticed(text: str) -> None:
    """The check above refuses what would be shown and never run, and a mark that gives no reason."""
    (block,) = blocks(text)
    assert block.trouble()


def test_blocks_are_run_unless_marked() -> None:
    """A new block needs no list to be run; one that is marked is not."""
    plain, marked = blocks(
        "```console\n$ segue queue\nurgent\t0\n$ segue demo\n```\n"
        "<!-- not run: takes minutes -->\n```bash\nsegue demo\n```\n"
    )
    assert (plain.is_run, marked.is_run) == (True, False)
    assert list(plain.commands()) == [("segue queue", "urgent\t0\n"), ("segue demo", "")]


def test_every_error_code_is_explained() -> None:
    """The table of error codes has each code that the source can give, once, and no other."""
    listed = _ERROR_CODE.findall((ROOT / "docs/troubleshooting.md").read_text("utf-8"))
    assert sorted(listed) == sorted(set(listed))
    assert set(error_codes()) <= set(listed) <= set(constants())


def sources() -> list[ast.AST]:
    """Everything that is said in the packages, node by node."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]


def constants() -> set[str]:
    """The strings in the source: a code of the table that is none of them is no code any more."""
    return {
        node.value for node in sources() if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def error_codes() -> set[str]:
    """The codes in the source: each class's own, and those that errors are made with."""
    kinds = {*BY_NAME, TranscriptionError.__name__}
    codes = {kind.default_code for kind in BY_NAME.values()}
    for node in sources():
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in kinds:
            given = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "code")]
            codes |= {str(code.value) for code in given if isinstance(code, ast.Constant)}
    return codes
