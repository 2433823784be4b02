"""Every test of transformers that we leave out, and why: a pattern of names (`Class.test`), then its reason."""

ATTENTION = "for attention, which a recurrent layer has none of"
ACCELERATOR = "needs a GPU; tests/recurrent_contract.py does the like on the CPU and the meta device"
OTHER_MODELS = "for models with parts that ours lacks"
ONE_HOT = "a one-hot input is not learnt and has no gradient"
MEAN = "new ids start as in a new model: the mean that it wants is one vector for all; tests/test_resizing.py resizes"
CHAT = "for tokenizers with a chat template"

SKIPPED = {
    "*.test_attention_outputs": ATTENTION,
    "*.test_attn_implementation_*": ATTENTION,
    "*.test_can_set_attention_dynamically*": ATTENTION,
    "*.test_eager_matches_*": ATTENTION,
    "*.test_flash_attn_*": ATTENTION,
    "*.test_flex_attention_*": ATTENTION,
    "*.test_sdpa_*": ATTENTION,
    "*.test_sliding_window_mask": ATTENTION,
    "*.test_*rope*": ATTENTION,
    "*.test_resize_position_vector_embeddings": ATTENTION,
    "*.test_resize_tokens_embeddings": MEAN,
    "*.test_resize_embeddings_untied": MEAN,
    "*.test_can_load_with_device_context_manager": ACCELERATOR,
    "*.test_can_load_with_global_device_set": ACCELERATOR,
    "*.test_cpu_offload": ACCELERATOR,
    "*.test_disk_offload_*": ACCELERATOR,
    "*.test_model_parallelism": ACCELERATOR,
    "*.test_*_with_deepspeed*": "needs deepspeed, which needs a GPU",
    "*.test_kernels_can_load_without_crashing": "needs the kernels library, which needs a GPU",
    "*.test_torch_compile_for_training": "needs minutes of a GPU; tests/test_works_with.py compiles",
    "*.test_can_load_from_already_mapped_keys": "for models whose weights have been renamed",
    "*.test_reverse_loading_mapping": "for models whose weights have been renamed",
    "*.test_can_capture_specific_layers_hidden_states": "for models that collect hidden states by hooks",
    "*.test_capture_outputs_decorator": "for models that collect hidden states by hooks",
    "*.test_internal_model_config_and_subconfig_are_same": OTHER_MODELS,
    "*.test_encoder_decoder_loss_no_double_shift": OTHER_MODELS,
    "*.test_keep_in_fp32_modules*": OTHER_MODELS,
    "*.test_moe_models_record_router_logits": OTHER_MODELS,
    "*.test_output_router_logits_from_config": OTHER_MODELS,
    "*.test_tied_head_has_a_tp_plan_entry": OTHER_MODELS,
    "*.test_tp_plan_matches_params": OTHER_MODELS,
    "TestOneHot*.test_retain_grad_hidden_states_attentions": ONE_HOT,
    "TestOneHot*.test_enable_input_require_grads_with_gradient_checkpointing": ONE_HOT,
    "*.test_generation_tester_mixin_inheritance": "its mixin is not in the source distribution",
    "*.test_chat_template_save_loading": CHAT,
    "*.test_chat_template_return_assistant_tokens_mask_truncated": CHAT,
    "*.test_integration*": "for a tokenizer on the Hub, whose tokens are written down",
    "*.test_alignment_methods": "takes one token for a word; ours are characters",
}
