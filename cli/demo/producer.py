"""One of the demo's producers, a process of its own: ``python -m cli.demo.producer PLAN``.

Says ``ready``, waits for a line on standard input so that all producers start together, then submits
its share of the plan one by one. At end of file instead of a line it ends: nobody wants it any more.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cli.demo.plan import read_plan
from producer import Client


def main(plan: Path) -> None:
    """Submit the requests of `plan`."""
    requests = read_plan(plan)
    with Client() as client:
        client.queue_depth()  # connect now, not at the first submit
        print("ready", flush=True)
        if not sys.stdin.readline():
            return
        for planned in requests:
            client.submit(
                Path(planned.path),
                request_id=planned.request_id,
                priority=planned.priority,
                language=planned.language,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
