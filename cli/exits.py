"""How the `segue` command ends: its exit status, and the one line that says why."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from cli.saying import CannotPrint
from protocol.address import BadAddress
from protocol.errors import QueueUnreachable, RequestError, ResultTimeout, TranscriptionError
from protocol.signing import BadKeys


class Exit(IntEnum):
    """The exit statuses, the same for every verb."""

    DONE = 0
    FAILED = 1
    """Some input failed."""
    USAGE = 2
    UNREACHABLE = 3
    """Redis, or a worker behind it."""
    TIMEOUT = 4
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as a shell would have it."""


class NoWorker(RuntimeError):
    """Redis is there, but no worker answers."""


class Verbs(TyperGroup):
    """A command whose verbs may raise what they like to say: here it becomes a line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that was asked for."""
        try:
            return super().invoke(ctx)
        except (QueueUnreachable, NoWorker) as error:
            raise ended(Exit.UNREACHABLE, error) from None
        except ResultTimeout as error:
            raise ended(Exit.TIMEOUT, error) from None
        except (RequestError, BadAddress, BadKeys) as error:
            raise ended(Exit.USAGE, error) from None
        except (TranscriptionError, CannotPrint) as error:
            raise ended(Exit.FAILED, error) from None
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None


def complain(about: object) -> None:
    """Say on standard error what went wrong."""
    print(f"segue: {about}", file=sys.stderr)


def ended(status: Exit, why: object) -> typer.Exit:
    """The exception that ends the command with `status`, once the reason has been said."""
    complain(why)
    return typer.Exit(status)
