"""A step of the decoder, recorded once and replayed: what a GPU waits for is Python, not arithmetic.

A large decoder is some hundred kernels a token, each over in microseconds; starting them one by one takes
longer than running them. A CUDA graph starts them all at once, on the condition that every tensor lies where
it lay when it was recorded. So a recorded step has a text of fixed length, of which the mask shows what there
is so far, and a call's keys and values are copied into its place.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from typing import Any

import torch

from workers.engine.torch.hearing import LAST, Hearing, as_mask
from workers.engine.torch.network import Network

Tensor = Any

log = logging.getLogger("workers.torch")

#: How many recorded steps are kept, and in what part of the device's memory. One for each number of rows (a
#: power of two) and length of window that comes up; each holds keys and values of its own, 245 MB a row for
#: large-v3 and 30 s, and as much again for texts of five beams.
KEPT = 12
KEPT_IN = 1 / 4

#: Texts are as long as the next multiple of this many tokens: few lengths, and little to attend to in vain.
LENGTH_STEP = 64

#: Runs before recording, as PyTorch's documentation asks for: libraries choose their kernels in them.
WARM_UP = 3


class Place:
    """A `Hearing` whose tensors never move; from the second piece of a text on, a token a piece."""

    def __init__(self, like: Hearing) -> None:
        """As large as `like`, to whose texts it can `move`; it holds nothing yet."""
        self.heard = [(torch.empty_like(keys), torch.empty_like(values)) for keys, values in like.heard]
        self.cache, self.padding = torch.zeros_like(like.cache), torch.zeros_like(like.padding)
        self.places = torch.arange(like.cache.shape[-2], device=like.padding.device)
        self.now = torch.zeros(1, dtype=torch.long, device=like.padding.device)
        """Where the next token goes."""
        self.length = 0
        """The same as a number, for what is not recorded."""
        self.mask: Tensor = None

    def move(self, hearing: Hearing) -> None:
        """Take the place of `hearing`."""
        for own, other in zip(self.heard, hearing.heard, strict=True):
            own[0].copy_(other[0])
            own[1].copy_(other[1])
        self.cache.copy_(hearing.cache)
        self.padding.copy_(hearing.padding)
        self.length = hearing.length
        self.now.fill_(self.length)

    def advance(self, _length: int) -> Tensor:
        """As `Hearing.advance`, of one token."""
        attended = (self.places <= self.now) & (self.places >= self.padding[:, None])
        self.mask = as_mask(attended[:, None, None], self.cache.dtype)
        return (self.now - self.padding)[:, None].clamp(0, LAST)

    def said(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """As `Hearing.said`; those of all places, of which `mask` hides what was not said."""
        own_keys, own_values = self.cache[layer]
        return own_keys.index_copy_(2, self.now, keys), own_values.index_copy_(2, self.now, values)

    def reorder(self, origins: Tensor) -> None:
        """As `Hearing.reorder`."""
        kept = self.cache[..., : self.length, :]
        kept.copy_(kept.index_select(2, origins))


class Step:
    """One token for each row, in a fixed place."""

    def __init__(self, network: Network, hearing: Hearing, *, record: bool) -> None:
        """Made for calls of the shape of `hearing`; on a CPU there is nothing to `record` with."""
        self._network = network
        self.n_bytes = hearing.n_bytes
        self.place = Place(hearing)
        self._tokens = torch.zeros_like(hearing.padding)
        self._graph: Any = None
        self._logits: Tensor = None
        if record:
            self._record()

    def __call__(self, tokens: Tensor) -> Tensor:
        """Go on with `tokens`, ``[rows]`` → logits ``[rows, n_tokens]``, good until the next step."""
        self._tokens.copy_(tokens)
        if self._graph is None:
            self._run()
        else:
            self._graph.replay()
        self.place.now += 1
        self.place.length += 1
        return self._logits

    def _run(self) -> None:
        hidden = self._network.decode(self._tokens[:, None], self.place)
        self._logits = self._network.logits(hidden[:, -1])

    def _record(self) -> None:
        """Record the step, or let it run as it is: slower, but right."""
        try:
            self._graph = self._recorded()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.warning("a step of the decoder is not recorded, and runs slower: %s", error)

    def _recorded(self) -> Any:
        with torch.cuda.device(self._network.device):
            before, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(before)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    self._run()
            before.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph):
                    self._run()
            finally:
                torch.cuda.set_stream(before)  # a recording that fails leaves its own in place
            return graph


class Graphs:
    """The recorded steps of one network, the least used of which go. For one thread."""

    def __init__(self, network: Network, *, record: bool, most_bytes: float = math.inf) -> None:
        """`most_bytes` is what those may hold that are kept; the one that is in use may hold more."""
        self._network = network
        self._record = record
        self._most_bytes = most_bytes
        self._steps: OrderedDict[tuple[int, ...], Step] = OrderedDict()

    @property
    def are_held(self) -> bool:
        """Whether any take memory of the device."""
        return bool(self._steps)

    def forget(self) -> None:
        """Give all of it back."""
        self._steps.clear()

    def step(self, hearing: Hearing) -> Step:
        """A step that goes on where `hearing` is. It stays good until the next is asked for."""
        shape = (*hearing.cache.shape, *hearing.heard[0][0].shape)
        step = self._steps.pop(shape, None)
        if step is None:
            self._make_room(hearing.n_bytes)
            step = Step(self._network, hearing, record=self._record)
        self._steps[shape] = step
        step.place.move(hearing)
        return step

    def _make_room(self, n_bytes: int) -> None:
        """Let those go that were used longest ago, until there is room for one more of so many bytes."""
        held = sum(step.n_bytes for step in self._steps.values())
        while self._steps and (len(self._steps) >= KEPT or held + n_bytes > self._most_bytes):
            _, step = self._steps.popitem(last=False)
            held -= step.n_bytes


def fixed_length(length: int) -> int:
    """How long a text of `length` tokens is made, so that few lengths come up."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP


def fixed_rows(n_rows: int) -> int:
    """With how many rows a batch of `n_rows` is run, so that few numbers come up: a power of two."""
    return 1 << (n_rows - 1).bit_length()
