"""Configuration of the character LSTM: only what changes the graph."""

import os
from pathlib import Path
from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

CellType = Literal["lstm", "gru", "rnn"]


def unlink_code(folder: str | os.PathLike, pattern: str) -> None:
    """Removes the links among a folder's code files, so that saving never writes through one into the source."""
    for path in Path(folder).glob(pattern):
        if path.is_symlink():
            path.unlink()


@strict
class CharLstmConfig(PreTrainedConfig):
    r"""Configuration of a recurrent character model.

    Args:
        vocab_size: rows of the embedding; 29 is pad, newline, space and a-z.
        alphabet_size: tokens that the model had before it was resized, if it was: its tokenizer has no fewer.
        embedding_size: width of the input vectors. `None` means `hidden_size`; 0 means one-hot.
        hidden_size: units of each recurrent layer.
        num_hidden_layers: recurrent layers, one above the other.
        cell_type: the recurrent cell.
        input_dropout: dropout on the input of the first layer. On a one-hot input it forgets whole characters.
        hidden_dropout: dropout between recurrent layers.
        output_dropout: dropout between the last recurrent layer and the dense layer.
        locked_dropout: between the layers and on the output, drop the same units at every character of a row
            (variational dropout, Gal and Ghahramani 2016).
        tie_word_embeddings: share the embedding with the dense layer; needs `embedding_size == hidden_size`.

    Raises:
        huggingface_hub.errors.StrictDataclassError: a size or a rate out of range, an unknown cell, a value of the
            wrong type, or tied weights of unequal width.
    """

    model_type = "char_lstm"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 29
    alphabet_size: int | None = None
    embedding_size: int | None = None
    hidden_size: int = 256
    num_hidden_layers: int = 2
    cell_type: CellType = "lstm"
    input_dropout: float | int = 0.1
    hidden_dropout: float | int = 0.1
    output_dropout: float | int = 0.0
    locked_dropout: bool = False
    tie_word_embeddings: bool = False
    use_cache: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1  # the newline: a text starts where a sentence has ended
    eos_token_id: int | list[int] | None = None  # a text never ends by itself

    def __post_init__(self, **kwargs):
        if self.embedding_size is None:
            self.embedding_size = self.hidden_size
        auto_map = {  # the code travels with every checkpoint, whichever class was saved
            "AutoConfig": "configuration_char_lstm.CharLstmConfig",
            "AutoModel": "modeling_char_lstm.CharLstmModel",
            "AutoModelForCausalLM": "modeling_char_lstm.CharLstmForCausalLM",
            "AutoModelForSequenceClassification": "modeling_char_lstm.CharLstmForSequenceClassification",
        }
        super().__post_init__(**{"auto_map": auto_map} | kwargs)

    @property
    def input_size(self) -> int:
        """Width of the first layer's input: `vocab_size` for one-hot characters, else `embedding_size`."""
        return self.embedding_size or self.vocab_size

    def save_pretrained(self, save_directory: str | os.PathLike, *args, **kwargs):
        """Saves as transformers does; a link to this file's code becomes a file."""
        unlink_code(save_directory, "configuration_char_lstm.py")
        return super().save_pretrained(save_directory, *args, **kwargs)

    def validate_sizes(self):
        """Called by `strict` whenever a configuration is made."""
        for name in ("vocab_size", "hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.input_size < 1:
            raise ValueError(f"embedding_size must be 0 (one-hot) or more, got {self.embedding_size}")
        for name in ("input_dropout", "hidden_dropout", "output_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if self.tie_word_embeddings and self.embedding_size != self.hidden_size:
            raise ValueError(
                f"tie_word_embeddings needs embedding_size ({self.embedding_size}) equal to "
                f"hidden_size ({self.hidden_size})"
            )


CharLstmConfig.register_for_auto_class()
