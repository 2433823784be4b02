"""The recurrent state of a model, in the shape of the library's cache."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin


class RecurrentCacheLayer(CacheLayerMixin):
    """The state of one layer: `keys` is its past output h, `values` its cell state c, both (batch, hidden)."""

    keys: Tensor
    values: Tensor

    def __init__(self, output: Tensor, cell_state: Tensor, seen: int):
        super().__init__()
        self.keys, self.values, self.seen = output, cell_state, seen
        self.is_initialized = True

    def get_seq_length(self) -> int:
        """Characters read so far, pads included, as `generate` counts them."""
        return self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.seen + query_length, 0

    def get_max_length(self) -> int:
        return -1

    def batch_repeat_interleave(self, repeats: int) -> None:
        self.keys = self.keys.repeat_interleave(repeats, dim=0)
        self.values = self.values.repeat_interleave(repeats, dim=0)

    def batch_select_indices(self, indices: Tensor) -> None:
        self.keys, self.values = self.keys[indices], self.values[indices]

    def crop(self, *_):
        raise NotImplementedError("a recurrent state cannot forget its last characters; start again from the text")

    def lazy_initialization(self, *_):
        raise NotImplementedError("a recurrent state is made by the model's forward")

    update = lazy_initialization


class RecurrentCache(Cache):
    """The recurrent state of a whole model, as `past_key_values`. `forward` returns a new one and changes none.

    Args:
        states: (h, c) of each layer, each (batch, hidden), h twice where there is no cell state; or as iterated.
        seen: characters read so far, pads included.
    """

    layers: list[RecurrentCacheLayer]  # type: ignore[assignment]  # the base class allows other kinds

    def __init__(self, states: Iterable[tuple[Tensor, ...]], seen: int = 0):
        super().__init__([RecurrentCacheLayer(h, c, int(read[0][0]) if read else seen) for h, c, *read in states])

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """(h, c, seen) of each layer, `seen` for each row, (batch,): `nn.DataParallel` joins caches along the rows."""
        for layer in self.layers:
            yield layer.keys, layer.values, layer.keys.new_full(layer.keys.shape[:1], layer.seen, dtype=torch.long)

    @property
    def states(self) -> list[tuple[Tensor, Tensor]]:
        """(h, c) of each layer, each (batch, hidden)."""
        return [(layer.keys, layer.values) for layer in self.layers]
