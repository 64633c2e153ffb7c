"""How much of what was said before goes into a prompt: as much as fits, in few different lengths.

CTranslate2 takes one length of prompt a call. Were every row's context as long as it happens to be, hardly
two would share one; so the oldest words go until the prompt has one of a few lengths. That depends on the
row alone: its text is the same in any company.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Lengths of a prompt that has a context, in tokens. Up to 32 they double, since most of a short context is
#: its last sentence; above, at most 31 tokens are left out, and a talk of some minutes is at the end of all.
LENGTHS = (4, 8, 16, 32, 64, 96, 128, 160, 192)


def with_context(own: Sequence[int], context: Sequence[int], most: int) -> list[int]:
    """The previous text of a row's first window, as tokens.

    Args:
        own: the request's own prompt; all of it stays while it fits.
        context: what was said before; its end is nearest to the audio.
        most: how many tokens the model takes; of more, faster-whisper keeps the last.
    """
    if not context:
        return list(own)
    whole = len(own) + len(context)
    if whole >= most:
        return [*own, *context][-most:]
    length = max((one for one in LENGTHS if len(own) < one <= whole), default=len(own))
    return [*own, *context[len(context) - (length - len(own)) :]]
