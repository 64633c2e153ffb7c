"""Options of a command that belong together: written once as a dataclass, given to a verb as one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

Verb = Callable[..., None]


def gathered(**kinds: type[Any]) -> Callable[[Verb], Verb]:
    """Makes of a verb a command that has every field of these as an option of its own.

    `kinds` are dataclasses by the name of the argument that the verb has of each.
    """
    fields = {name: inspect.signature(kind).parameters for name, kind in kinds.items()}

    def make(verb: Verb) -> Verb:
        own = [one for one in inspect.signature(verb).parameters.values() if one.name not in kinds]

        @wraps(verb)
        def command(**given: Any) -> None:
            for name, kind in kinds.items():
                given[name] = kind(**{field: given.pop(field) for field in fields[name]})
            verb(**given)

        hints = get_type_hints(verb, include_extras=True)
        for kind in kinds.values():
            hints |= get_type_hints(kind, include_extras=True)
        options = [*own, *(field for of_kind in fields.values() for field in of_kind.values())]
        every = [one.replace(kind=one.KEYWORD_ONLY, annotation=hints[one.name]) for one in options]
        command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in every}
        return command

    return make
