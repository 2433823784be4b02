"""A character-level recurrent language model in the shape transformers expects.

Two promises hold everywhere: the recurrent state is explicit (`past_key_values` in, `past_key_values` out, and a
text in two halves equals the text whole), and padding is exact (pads on either side change neither the logits of
real characters, nor the state, nor the loss).
"""

from functools import partial

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, GenerationMixin
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    SequenceClassifierOutputWithPast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import can_return_tuple
from transformers.utils.generic import maybe_autocast

from .configuration_char_lstm import CharLstmConfig
from .custom_generate_char_lstm import (
    decode_prompts,
    decoder_can_generate,
    merge_settings,
    replace_stop_strings,
    start_empty_prompts,
)
from .layers_char_lstm import (
    RECURRENT_LAYERS,
    LockedDropout,
    Padding,
    RecurrentStack,
    make_dropout,
    trains_in_bfloat16,
)
from .state_char_lstm import RecurrentCache
from .torch_decoder_char_lstm import remember_methods
from .weights_char_lstm import CharLstmPreTrainedModel


class CharLstmModel(CharLstmPreTrainedModel):
    """Characters to hidden states: embedding, dropout, and recurrent layers with dropout between them."""

    def __init__(self, config: CharLstmConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.input_size)
        self.embed_tokens.weight.requires_grad_(config.embedding_size != 0)  # a one-hot is not learnt
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.hidden_dropout = make_dropout(config.hidden_dropout, locked=config.locked_dropout)
        recurrent = RECURRENT_LAYERS[config.cell_type]
        widths = [config.input_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        self.layers = RecurrentStack(recurrent(width, config.hidden_size, batch_first=True) for width in widths)
        self.post_init()

    def train(self, mode: bool = True):
        """Sets the mode, and repairs what `from_pretrained`, which ends with this call, leaves behind: every weight
        trainable, and each in memory of its own, so that cuDNN would copy them together at every call."""
        if self.config.embedding_size == 0:
            self.embed_tokens.weight.requires_grad_(False)
        for layer in self.modules():
            if isinstance(layer, nn.RNNBase):
                whole = [weight for weight in layer.parameters() if type(weight.data) is Tensor]  # no shards
                if len({weight.untyped_storage().data_ptr() for weight in whole}) > 1:
                    layer.flatten_parameters()
        return super().train(mode)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentCache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPast:
        """Runs characters through the layers, starting from a given state.

        Args:
            input_ids: (batch, time), or `inputs_embeds`: (batch, time, input_size).
            attention_mask: (batch, time) or longer, whose last `time` columns count; 0 marks a pad, on any side.
            past_key_values: the state to start from; zeros when left out. It is not changed.
            use_cache: return the state; defaults to the configuration's, and to `False` while training.
            output_hidden_states: return `hidden_states`; defaults to the configuration's.

        Returns:
            `last_hidden_state` (batch, time, hidden); `past_key_values`, the state after the last character;
            `hidden_states`, the first layer's input before its dropout and every layer's output, (batch, time, width).

        Raises:
            ValueError: both or neither of `input_ids` and `inputs_embeds`.
            TypeError: `past_key_values` is no recurrent state.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("pass either input_ids or inputs_embeds")
        if past_key_values is not None and not hasattr(past_key_values, "states"):
            raise TypeError(
                f"past_key_values is a {type(past_key_values).__name__}, but a recurrent model has no keys and values: "
                "pass the past_key_values that this model returned, or leave it out to start from zeros"
            )
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)

        embedded = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds  # (batch, time, input)
        padding = Padding.from_mask(attention_mask, embedded.shape[1], state_wanted=use_cache)
        outputs, states = self._run_layers(embedded, past_key_values, padding, output_hidden_states)

        seen = embedded.shape[1] + (past_key_values.get_seq_length() if past_key_values is not None else 0)
        return BaseModelOutputWithPast(
            last_hidden_state=outputs[-1],
            past_key_values=RecurrentCache(states, seen) if use_cache else None,
            hidden_states=(embedded, *outputs) if output_hidden_states else None,
        )

    def _run_layers(
        self, embedded: Tensor, past: RecurrentCache | None, padding: Padding, every_layer: bool
    ) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """The output of every layer, or of the last alone, (batch, time, hidden) each, and (h, c) of every layer."""
        parts = 2 if self.config.cell_type == "lstm" else 1  # not asked of the layers, which peft may have wrapped
        zeros = embedded.new_zeros(embedded.shape[0], self.config.hidden_size)  # (batch, hidden)
        pasts = past.states if past is not None else [(zeros, zeros)] * len(self.layers)
        state = [part for layer in pasts for part in layer[:parts]]
        dropouts = [self.input_dropout] + [self.hidden_dropout] * (len(self.layers) - 1)

        in_segments = self.layers.gradient_checkpointing and self.training
        run = self.layers.run_in_segments if in_segments else self.layers
        half = self.training and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        half = half and trains_in_bfloat16(self.config.cell_type, embedded.device)
        with maybe_autocast(embedded.device.type, enabled=half):  # else in full: a cell state counts far
            flat = run(padding.compact(embedded), *state, padding=padding, dropouts=dropouts, every_layer=every_layer)

        outputs, after = flat[: -len(state)], [part.to(embedded.dtype) for part in flat[-len(state) :]]
        states = zip(after[::parts], after[parts - 1 :: parts], strict=True)
        return [padding.restore(output) for output in outputs], list(states)


class CharLstmForCausalLM(CharLstmPreTrainedModel, GenerationMixin):
    """The language model: `CharLstmModel` and one dense layer that scores the next character."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: CharLstmConfig):
        super().__init__(config)
        self.model = CharLstmModel(config)
        dropout = make_dropout(config.output_dropout, locked=config.locked_dropout)
        self.output_dropout = dropout if config.output_dropout else None
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.loss_type = "ForCausalLM"  # the library reads it off the class's name, and a subclass has another
        self.post_init()

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = False
    ) -> nn.Embedding:
        """As for any model; ids that only fill up `pad_to_multiple_of` are never generated."""
        suppressed, tokens = {*(self.generation_config.suppress_tokens or ())}, self.config.vocab_size
        while tokens - 1 in suppressed:  # those that filled up before
            tokens -= 1
        embeddings = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        wanted = new_num_tokens or tokens
        suppressed = {one for one in suppressed if one < min(tokens, wanted)} | {*range(wanted, self.config.vocab_size)}
        self.generation_config.suppress_tokens = sorted(suppressed) or None
        return embeddings

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # private, with no public switch: `forward` makes a recurrent state, not keys and values

    def generate(
        self, inputs: Tensor | None = None, generation_config: GenerationConfig | None = None, *args, **kwargs
    ):
        """transformers' `generate`, with its arguments and its results.

        Greedy search and sampling run on the decoder where it computes what is asked for; processors, criteria and
        streamers stay the library's. An empty prompt, alone or in a batch, starts from bos as a row of the corpus does.
        """
        if inputs is None:
            inputs = kwargs.pop("input_ids", None)
        mask = kwargs.get("attention_mask")
        if inputs is not None and mask is not None and kwargs.get("inputs_embeds") is None:
            inputs, kwargs["attention_mask"] = start_empty_prompts(inputs, mask, self.config.bos_token_id)
        if not args:
            asked = merge_settings(self, generation_config, kwargs)
            replace_stop_strings(asked, kwargs)
            if decoder_can_generate(self, asked, kwargs):
                kwargs["custom_generate"] = partial(decode_prompts, streamer=kwargs.get("streamer"))
        return super().generate(inputs, generation_config, *args, **kwargs)  # type: ignore[misc]  # its `self` is private

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs,
    ) -> CausalLMOutputWithPast:
        """Scores the next character at every position. Arguments not named here are those of `CharLstmModel.forward`.

        Args:
            labels: (batch, time), unshifted; one counts if it is not -100, and it and the character before it are real.
            num_items_in_batch: among `kwargs`, the labels of a training step that are not -100, the first column left
                out; the loss is then the mean times this batch's share in them, whatever of it the pads exclude.
            logits_to_keep: how many last positions (0: all), or which, get logits.

        Returns:
            `loss` in nats per counted character, `logits` (batch, time, vocab), `past_key_values`, `hidden_states`.
        """
        read = (input_ids, attention_mask, past_key_values, inputs_embeds, use_cache)
        outputs = self.model(*read, return_dict=True, **kwargs)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        hidden = outputs.last_hidden_state[:, kept]
        if self.output_dropout is not None:
            hidden = self.output_dropout(hidden)
        logits = self.lm_head(hidden)  # (batch, time, vocab)

        loss = None
        if labels is not None:
            if attention_mask is not None and kwargs.get("shift_labels") is None:
                given, labels = labels, _without_pads(labels, attention_mask[:, -labels.shape[1] :])
                if kwargs.get("num_items_in_batch") is not None:
                    share = _count_targets(labels) / _count_targets(given)
                    kwargs["num_items_in_batch"] = kwargs["num_items_in_batch"] * share
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)

        return CausalLMOutputWithPast(loss, logits, outputs.past_key_values, outputs.hidden_states)


def _without_pads(labels: Tensor, attention_mask: Tensor) -> Tensor:
    """Labels, (batch, time), with -100 where the character or the one that predicts it is a pad."""
    real = attention_mask.bool()
    predicted = real.clone()
    predicted[:, 1:] &= real[:, :-1]
    return labels.masked_fill(~predicted, -100)


def _count_targets(labels: Tensor) -> Tensor:
    """How many labels of (batch, time) are predicted, as the Trainer counts them; at least one."""
    return labels[:, 1:].ne(-100).sum().clamp(min=1)


class CharLstmForSequenceClassification(CharLstmPreTrainedModel):
    """The classifier: `CharLstmModel` reads a text to its end, and one dense layer scores the classes from there."""

    def __init__(self, config: CharLstmConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.loss_type = "ForSequenceClassification"
        self.model = CharLstmModel(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels)  # type: ignore[arg-type]  # never None by now
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs,
    ) -> SequenceClassifierOutputWithPast:
        """Scores the classes by the last layer's output after the last real token, wherever the pads are.

        Args:
            labels: (batch,), class ids; floats for a regression or several labels a text: see `config.problem_type`.
            use_cache: return the state too, by default not. The other arguments are those of `CharLstmModel.forward`.

        Returns:
            `loss`, `logits` (batch, num_labels), `past_key_values`, `hidden_states`.
        """
        read = (input_ids, attention_mask, past_key_values, inputs_embeds, True)
        outputs = self.model(*read, return_dict=True, **kwargs)
        last_output, _ = outputs.past_key_values.states[-1]  # (batch, hidden)
        logits = self.score(last_output)  # (batch, num_labels)

        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
        state = outputs.past_key_values if use_cache else None
        return SequenceClassifierOutputWithPast(loss, logits, state, outputs.hidden_states)


MODEL_FOR_CAUSAL_LM_MAPPING_NAMES["char_lstm"] = "CharLstmForCausalLM"  # or label smoothing does not shift the labels
CharLstmModel.register_for_auto_class("AutoModel")
CharLstmForCausalLM.register_for_auto_class("AutoModelForCausalLM")
CharLstmForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

remember_methods(CharLstmForCausalLM, CharLstmModel, RecurrentStack, Padding, *RECURRENT_LAYERS.values())
remember_methods(nn.Embedding, nn.Linear, nn.Dropout, LockedDropout)
