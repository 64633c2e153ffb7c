"""A Redis that lives on when none of its files may grow: as on a full disk, to it that is an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cli.local_redis import SERVERS, find_server

#: The signal's default action would end it.
SCRIPT = """\
#!/bin/sh
trap '' XFSZ
exec "{binary}" "$@"
"""


@contextmanager
def survives_full_disk() -> Iterator[None]:
    """Whatever server is started inside ignores the signal of a file that has reached its limit."""
    before = os.environ.get("PATH", "")
    with TemporaryDirectory() as folder:
        hardened = Path(folder) / SERVERS[0]
        hardened.write_text(SCRIPT.format(binary=find_server()))
        hardened.chmod(0o700)
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PATH"] = before
