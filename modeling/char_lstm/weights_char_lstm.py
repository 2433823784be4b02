"""What all models share: how weights start, how they follow a resized vocabulary, and how they are saved."""

import os
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_char_lstm import CharLstmConfig, unlink_code


class CharLstmPreTrainedModel(PreTrainedModel):
    config_class = CharLstmConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _is_stateful = True  # no assisted decoding: a state cannot step back

    def save_pretrained(self, save_directory: str | os.PathLike, *args, **kwargs):
        """Saves as transformers does; links to the code become files."""
        unlink_code(save_directory, "*_char_lstm.py")
        return super().save_pretrained(save_directory, *args, **kwargs)

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = False
    ) -> nn.Embedding:
        """transformers' own, also for one-hot characters, where the first layer gets a column for each new id.

        New ids start as in a new model: the mean of the old ones, the library's default, would be the same for all.
        """
        before = self.config.vocab_size
        embeddings = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        if self.config.vocab_size != before:
            self.config.alphabet_size = min(self.config.alphabet_size or before, self.config.vocab_size)
            if self.config.embedding_size == 0:
                self._resize_one_hot(embeddings)
            for module in filter(None, (embeddings, self.get_output_embeddings())):
                for name, old in [*module.named_parameters()]:  # autograd may remember the old one's shape
                    setattr(module, name, nn.Parameter(old.data, old.requires_grad))
            self.tie_weights()
        return embeddings

    @torch.no_grad()
    def _resize_one_hot(self, embeddings: nn.Embedding):
        """Makes the identity and the first layer's input as wide as there are ids."""
        layer: Any = self.base_model.layers[0]  # type: ignore[index]
        old, size = layer.weight_ih_l0, embeddings.num_embeddings
        weight = old.new_empty(len(old), size).normal_()  # as in `_init_weights`
        weight[:, : old.shape[1]] = old[:, :size]
        layer.weight_ih_l0 = nn.Parameter(weight, old.requires_grad)
        layer.input_size = embeddings.embedding_dim = size
        layer.flatten_parameters()
        embeddings.weight.data = torch.eye(size).to(embeddings.weight)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """Orthogonal recurrent blocks (Saxe et al. 2014), gates that keep the past (Jozefowicz et al. 2015), and inputs
        that bring each unit a sum of variance one (LeCun et al. 1998, section 4.6)."""
        if isinstance(module, nn.RNNBase):
            weight_ih, weight_hh, bias_ih, bias_hh = module.all_weights[0]
            hidden, blocks = module.hidden_size, len(weight_hh) // module.hidden_size
            orthogonal = [nn.init.orthogonal_(torch.empty(hidden, hidden)) for _ in range(blocks)]
            init.copy_(weight_hh, torch.cat(orthogonal))
            first = self.base_model.layers[0]  # type: ignore[index]  # the library takes it for any module
            length = 1 if module is first else hidden**0.5  # of an input: a character's vector is 1
            init.normal_(weight_ih, std=1 / length)
            init.zeros_(bias_hh)
            bias = torch.zeros(blocks * hidden)
            if blocks > 1:
                bias[hidden : 2 * hidden] = 1.0  # the forget gate of an LSTM, the update gate of a GRU
            init.copy_(bias_ih, bias)
        elif isinstance(module, nn.Embedding) and self.config.embedding_size == 0:
            init.eye_(module.weight)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=module.embedding_dim**-0.5)  # vectors about as long as one-hots
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5  # small first scores: larger ones overfit sooner
            init.uniform_(module.weight, -bound, bound)
            init.zeros_(module.bias)
