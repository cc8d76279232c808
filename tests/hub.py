"""config.json of openai-community's gpt2, gpt2-medium, gpt2-large and gpt2-xl on the Hugging Face hub."""

from typing import Any

_COMMON: dict[str, Any] = {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "bos_token_id": 50256,
    "embd_pdrop": 0.1,
    "eos_token_id": 50256,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_positions": 1024,
    "resid_pdrop": 0.1,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 50257,
}
_LATER = {"n_special": 0, "predict_special_tokens": True}
HUB = {
    "small": _COMMON | {"n_embd": 768, "n_head": 12, "n_layer": 12},
    "medium": _COMMON | _LATER | {"n_embd": 1024, "n_head": 16, "n_layer": 24},
    "large": _COMMON | _LATER | {"n_embd": 1280, "n_head": 20, "n_layer": 36},
    "xl": _COMMON | _LATER | {"n_embd": 1600, "n_head": 25, "n_layer": 48, "output_past": True},
}
