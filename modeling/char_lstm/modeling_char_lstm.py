"""A character-level recurrent language model in the shape transformers expects.

Two promises hold everywhere: the recurrent state is explicit (`past_key_values` in, `past_key_values` out, and a
text in two halves equals the text whole), and padding is exact (pads on either side change neither the logits of
real characters, nor the state, nor the loss).
"""

import os
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.generation import GenerateDecoderOnlyOutput
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    SequenceClassifierOutputWithPast,
)

from .configuration_char_lstm import CharLstmConfig, unlink_code
from .decoder_char_lstm import as_decoder, expected_shapes
from .generation_char_lstm import write
from .layers_char_lstm import LockedDropout, Padding, _hidden_dropout, _without_autocast
from .state_char_lstm import RecurrentCache

RECURRENT_LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
SEGMENT = 256  # characters that gradient checkpointing computes anew at a time


class CharLstmPreTrainedModel(PreTrainedModel):
    config_class = CharLstmConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _is_stateful = True  # no assisted decoding: a state cannot step back

    def save_pretrained(self, save_directory: str | os.PathLike, *args, **kwargs):
        """As transformers saves it; what were links to the code become files."""
        unlink_code(save_directory, "*_char_lstm.py")
        return super().save_pretrained(save_directory, *args, **kwargs)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """Orthogonal recurrent blocks (Saxe et al. 2014), gates that keep the past (Jozefowicz et al. 2015), and inputs
        that bring each unit a sum of variance one (LeCun et al. 1998, section 4.6)."""
        if isinstance(module, nn.RNNBase):
            hidden = module.hidden_size
            blocks = module.weight_hh_l0.shape[0] // hidden
            orthogonal = [nn.init.orthogonal_(torch.empty(hidden, hidden)) for _ in range(blocks)]
            init.copy_(module.weight_hh_l0, torch.cat(orthogonal))
            length = 1 if module is self.base_model.layers[0] else hidden**0.5  # of an input: a character's vector is 1
            init.normal_(module.weight_ih_l0, std=1 / length)
            init.zeros_(module.bias_hh_l0)
            bias = torch.zeros(blocks * hidden)
            if blocks > 1:
                bias[hidden : 2 * hidden] = 1.0  # the forget gate of an LSTM, the update gate of a GRU
            init.copy_(module.bias_ih_l0, bias)
        elif isinstance(module, nn.Embedding) and self.config.embedding_size == 0:
            init.eye_(module.weight)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=module.embedding_dim**-0.5)  # vectors about as long as one-hots
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5  # small first scores: larger ones learn the training text by heart sooner
            init.uniform_(module.weight, -bound, bound)
            init.zeros_(module.bias)


class CharLstmModel(CharLstmPreTrainedModel):
    """Characters to hidden states: embedding, dropout, and recurrent layers with dropout between them."""

    def __init__(self, config: CharLstmConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.input_size)
        self.embed_tokens.weight.requires_grad_(config.embedding_size != 0)  # a one-hot is not learnt
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.hidden_dropout = _hidden_dropout(config, config.hidden_dropout)
        recurrent = RECURRENT_LAYERS[config.cell_type]
        widths = [config.input_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(recurrent(width, config.hidden_size, batch_first=True) for width in widths)
        self.gradient_checkpointing = False
        self.post_init()

    def train(self, mode: bool = True):
        """Sets the mode, and mends what `from_pretrained` leaves, which ends with this call: it makes every weight
        trainable, and lays each in a place of its own, where cuDNN would copy them together at every call."""
        if self.config.embedding_size == 0:
            self.embed_tokens.weight.requires_grad_(False)
        for layer in self.modules():
            if isinstance(layer, nn.RNNBase) and len({w.untyped_storage().data_ptr() for w in layer.parameters()}) > 1:
                layer.flatten_parameters()
        return super().train(mode)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding):
        self.embed_tokens = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentCache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPast | tuple:
        """Reads characters from a state and returns every hidden state and the state after the last character.

        Args:
            input_ids: (batch, time), or `inputs_embeds`: (batch, time, input_size).
            attention_mask: (batch, time) or longer, whose last `time` columns count; 0 marks a pad, on any side.
            past_key_values: the state to start from; zeros when left out. It is not changed.
            use_cache: return the state; defaults to the configuration's, and to `False` while training.

        Raises:
            ValueError: both or neither of `input_ids` and `inputs_embeds`.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("pass either input_ids or inputs_embeds")
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        output_hidden_states = (
            output_hidden_states if output_hidden_states is not None else self.config.output_hidden_states
        )
        return_dict = return_dict if return_dict is not None else self.config.return_dict

        hidden = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds  # (batch, time, input)
        zeros = hidden.new_zeros(hidden.shape[0], self.config.hidden_size)  # (batch, hidden)
        past = past_key_values.states if past_key_values is not None else [(zeros, zeros)] * len(self.layers)
        padding = Padding.of(attention_mask, hidden.shape[1], state_wanted=use_cache)

        read = self._read_in_segments if self.gradient_checkpointing and self.training else self._read
        with _without_autocast(hidden.device):
            all_hidden, states = read(padding.to_front(hidden), past, padding, output_hidden_states)

        seen = hidden.shape[1] + (past_key_values.get_seq_length() if past_key_values is not None else 0)
        output = BaseModelOutputWithPast(
            last_hidden_state=padding.to_place(all_hidden[-1]),
            past_key_values=RecurrentCache(states, seen) if use_cache else None,
            hidden_states=tuple(map(padding.to_place, all_hidden)) if output_hidden_states else None,
        )
        return output if return_dict else output.to_tuple()

    def _read(
        self, hidden: Tensor, past: list, padding: Padding, every_layer: bool, between: list[Callable] | None = None
    ) -> tuple[list[Tensor], list]:
        """All layers over `hidden`, (batch, time, input), each from its part of the state `past`.

        Returns:
            (batch, time, width): what each layer got and the last one gave, or that alone; the state after it.
        """
        dropouts = [self.input_dropout, *(between or [self.hidden_dropout] * (len(self.layers) - 1))]
        is_lstm = self.config.cell_type == "lstm"  # not asked of the layer, which peft may have wrapped
        all_hidden, states = [hidden], []
        for layer, dropout, state in zip(self.layers, dropouts, past, strict=True):
            hidden, state = padding.run(layer, dropout(hidden), state, is_lstm)  # (batch, time, hidden), state
            all_hidden.append(hidden)
            states.append(state)
        return all_hidden if every_layer else all_hidden[-1:], states

    def _read_in_segments(self, hidden: Tensor, past: list, padding: Padding, every_layer: bool):
        """`_read` for long rows: backward computes the inside of each segment anew from the state before it.

        The gradients are exact, all along the row; kept meanwhile are the segments' outputs and states alone (Chen et
        al. 2016, along the time).
        """
        between = [self.hidden_dropout] * (len(self.layers) - 1)
        if isinstance(self.hidden_dropout, LockedDropout):  # one mask for the whole row
            ones = hidden.new_ones(hidden.shape[0], 1, self.config.hidden_size)
            between = [partial(torch.mul, dropout(ones)) for dropout in between]
        outputs, start = [], 0
        for segment in hidden.split(SEGMENT, dim=1):
            inside = padding.between(start, start + segment.shape[1])
            arguments = (segment, past, inside, every_layer, between)
            output, past = checkpoint(self._read, *arguments, use_reentrant=False)
            outputs.append(output)
            start += segment.shape[1]
        return [torch.cat(layer, dim=1) for layer in zip(*outputs, strict=True)], past


class CharLstmForCausalLM(CharLstmPreTrainedModel, GenerationMixin):
    """The language model: `CharLstmModel` and one dense layer that scores the next character."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: CharLstmConfig):
        super().__init__(config)
        self.model = CharLstmModel(config)
        self.output_dropout = _hidden_dropout(config, config.output_dropout) if config.output_dropout else None
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # `forward` makes its own cache: a recurrent state, not keys and values

    def _prepare_model_inputs(self, *args, **kwargs):
        """For `generate`: an empty prompt, alone or in a batch, starts from bos as a row of the corpus does."""
        inputs, name, model_kwargs = super()._prepare_model_inputs(*args, **kwargs)
        mask = model_kwargs.get("attention_mask")
        if name != "input_ids" or mask is None:
            return inputs, name, model_kwargs
        if inputs.shape[1] == 0:
            inputs, mask = inputs.new_zeros(len(inputs), 1), mask.new_zeros(len(inputs), 1)  # (batch, 1)
        empty = mask.sum(dim=1) == 0  # (batch,)
        at_the_end = torch.arange(inputs.shape[1], device=inputs.device) == inputs.shape[1] - 1  # (time,)
        chosen = empty.unsqueeze(1) & at_the_end  # (batch, time)
        model_kwargs["attention_mask"] = mask.masked_fill(chosen, 1)
        return inputs.masked_fill(chosen, self.config.bos_token_id), name, model_kwargs

    def _sample(
        self,
        input_ids,
        logits_processor,
        stopping_criteria,
        generation_config,
        synced_gpus=False,
        streamer=None,
        **model_kwargs,
    ):
        """For `generate`, greedy search and sampling by our own loop: the library's text at a fraction of its cost.

        Processors, criteria and streamers stay the library's. So does the loop where the decoder has not what it takes.
        """
        if synced_gpus or not model_kwargs["use_cache"] or not self._decoder_can_give(generation_config):
            return super()._sample(
                input_ids,
                logits_processor,
                stopping_criteria,
                generation_config,
                synced_gpus=synced_gpus,
                streamer=streamer,
                **model_kwargs,
            )
        read = self._prefill(input_ids, generation_config, model_kwargs).past_key_values
        decoder = as_decoder(self)
        state = decoder.resume([(output.numpy(), cell_state.numpy()) for output, cell_state in read.states])
        text, ended = input_ids, torch.zeros(len(input_ids), dtype=torch.bool)  # (batch, time), (batch,)
        can_end = any(hasattr(criteria, "eos_token_id") for criteria in stopping_criteria)

        def choose(logits):  # (batch, vocab)
            nonlocal text, ended
            scores = logits_processor(text, torch.from_numpy(logits))
            sampled = generation_config.do_sample
            ids = scores.softmax(-1).multinomial(1)[:, 0] if sampled else scores.argmax(-1)  # (batch,)
            if can_end:
                ids = torch.where(ended, generation_config._pad_token_tensor, ids)
            text = torch.cat([text, ids.unsqueeze(1)], dim=1)
            ended = ended | stopping_criteria(text, None)
            return ids.numpy()

        for ids in write(decoder, state, choose):
            if streamer is not None:
                streamer.put(torch.from_numpy(ids))
            if ended.all():
                break
        if streamer is not None:
            streamer.end()
        if not generation_config.return_dict_in_generate:
            return text
        states = [(torch.from_numpy(part.output), torch.from_numpy(part.cell_state)) for part in state.buffers]
        seen = read.get_seq_length() + text.shape[1] - input_ids.shape[1] - 1
        return GenerateDecoderOnlyOutput(sequences=text, past_key_values=RecurrentCache(states, seen))

    def _decoder_can_give(self, generation_config) -> bool:
        """Whether the decoder computes what is asked for as this model would: on a CPU, in float32, without dropout,
        from weights that no adapter changes, past modules that no hook listens to, and text alone."""
        asked = generation_config
        plain = expected_shapes(self.config).keys() <= self.state_dict().keys()
        hooked = any(module._forward_hooks or module._forward_pre_hooks for module in self.modules())
        on_cpu = self.device.type == "cpu" and self.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return (
            plain
            and not hooked
            and on_cpu
            and not (self.training or asked.output_scores or asked.output_logits or asked.output_hidden_states)
        )

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs,
    ) -> CausalLMOutputWithPast | tuple:
        """Scores the next character at every position.

        Args:
            labels: (batch, time), unshifted; a label is counted if it is not -100 and both it and the character
                before it are real, so that padding on either side leaves the loss as it is.
            logits_to_keep: how many last positions (0: all), or which, get logits.
            The rest is `CharLstmModel.forward`'s.

        Returns:
            `loss` in nats per counted character, `logits` (batch, time, vocab), `past_key_values`, `hidden_states`.
        """
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        outputs = self.model(
            input_ids,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        hidden = outputs.last_hidden_state[:, kept]
        if self.output_dropout is not None:
            hidden = self.output_dropout(hidden)
        logits = self.lm_head(hidden)  # (batch, time, vocab)

        loss = None
        if labels is not None:
            if attention_mask is not None:
                labels = _without_pads(labels, attention_mask[:, -labels.shape[1] :])
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)

        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
        )
        return output if return_dict else output.to_tuple()


def _without_pads(labels: Tensor, attention_mask: Tensor) -> Tensor:
    """Labels, (batch, time), with -100 where the character or the one that predicts it is a pad."""
    real = attention_mask.bool()
    predicted = real.clone()
    predicted[:, 1:] &= real[:, :-1]
    return labels.masked_fill(~predicted, -100)


class CharLstmForSequenceClassification(CharLstmPreTrainedModel):
    """The classifier: `CharLstmModel` reads a text to its end, and one dense layer scores the classes from there."""

    def __init__(self, config: CharLstmConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = CharLstmModel(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> SequenceClassifierOutputWithPast | tuple:
        """Scores the classes by the last layer's output after the last real token, wherever the pads are.

        Args:
            labels: (batch,), class ids; floats for a regression or for several labels a text, as
                `config.problem_type` says.
            use_cache: return the state too; it is not, unless asked for.
            The rest is `CharLstmModel.forward`'s.

        Returns:
            `loss`, `logits` (batch, num_labels), `past_key_values`, `hidden_states`.
        """
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        outputs = self.model(
            input_ids,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=True,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        last_output, _ = outputs.past_key_values.states[-1]  # (batch, hidden)
        logits = self.score(last_output)  # (batch, num_labels)

        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)

        output = SequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values if use_cache else None,
            hidden_states=outputs.hidden_states,
        )
        return output if return_dict else output.to_tuple()


CharLstmModel.register_for_auto_class("AutoModel")
CharLstmForCausalLM.register_for_auto_class("AutoModelForCausalLM")
CharLstmForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
