"""A model that transformers saved in shards comes over bit for bit: hf_import_test.py CHECKPOINT_TOOL"""

import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

DEPTH = 5
MODULES = {"attention": ("self_attn", ["q_proj", "k_proj", "v_proj", "o_proj"]),
           "feed_forward": ("mlp", ["gate_proj", "up_proj", "down_proj"])}
NORMS = {"attention_norm": "input_layernorm", "feed_forward_norm": "post_attention_layernorm"}


def save_model(folder, tied, dtype):
    """A random model, also in its gains, in several shards."""
    torch.manual_seed(1)
    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=DEPTH,
                         num_attention_heads=4, num_key_value_heads=2, vocab_size=32,
                         tie_word_embeddings=tied)
    model = LlamaForCausalLM(config).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    model.save_pretrained(folder, max_shard_size="4KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return {name: tensor.to(torch.float32).numpy() for name, tensor in model.state_dict().items()}


def expected_datasets(weights, layers_of, tied):
    """Dataset → the float32 mean, taken in float64, of the source layers of its component."""
    def mean(pattern, layers):
        return np.mean([weights[pattern.format(layer)] for layer in layers], axis=0,
                       dtype=np.float64).astype(np.float32)

    datasets = {"embedding/weight": weights["model.embed_tokens.weight"],
                "final_norm/weight": weights["model.norm.weight"]}
    if not tied:
        datasets["head/weight"] = weights["lm_head.weight"]
    for component, layers in enumerate(layers_of):
        for slot, (module, linears) in MODULES.items():
            for linear in linears:
                datasets[f"{slot}/{component}/{linear}/weight"] = mean(
                    f"model.layers.{{}}.{module}.{linear}.weight", layers)
        for slot, module in NORMS.items():
            datasets[f"{slot}/{component}/weight"] = mean(f"model.layers.{{}}.{module}.weight", layers)
    return datasets


def check(tool, tied, dtype, sharing, init, layers_of):
    with tempfile.TemporaryDirectory() as temporary:
        source = pathlib.Path(temporary) / "hf"
        target = pathlib.Path(temporary) / "model.h5"
        weights = save_model(source, tied, dtype)
        subprocess.run([tool, "import", source, target, *sharing, init], check=True)
        expected = expected_datasets(weights, layers_of, tied)
        with h5py.File(target) as file:
            found = {}
            file.visititems(lambda name, item: found.update({name: item[()]})
                            if isinstance(item, h5py.Dataset) else None)
            carried = {f"hugging_face/{name}" for name in ("config.json", "generation_config.json")}
            assert set(found) == carried | {f"parameters/{name}" for name in expected}, set(found)
            assert found["hugging_face/config.json"].tobytes() == (
                source / "config.json").read_bytes()
            for name, values in expected.items():
                stored = found[f"parameters/{name}"]
                assert stored.shape == values.shape and stored.dtype == np.float32, name
                assert stored.tobytes() == np.ascontiguousarray(values).tobytes(), name
            model = json.loads(file.attrs["model"])
            assert model["tie_embeddings"] == tied and model["rope_theta"] == 10000.0
            assert model["depth"] == DEPTH and file.attrs["step"] == 0


tool = sys.argv[1]
each = [[layer] for layer in range(DEPTH)]
check(tool, True, torch.float32, ("none", "0"), "stepwise", each)
check(tool, False, torch.bfloat16, ("none", "0"), "upper", each)
check(tool, False, torch.float16, ("cycle", "2"), "stepwise", [[0], [4]])
check(tool, True, torch.float32, ("cycle", "2"), "lower", [[0], [1]])
check(tool, True, torch.float32, ("cycle", "2"), "upper", [[3], [4]])
check(tool, True, torch.float32, ("universal", "1"), "stepwise", [[0]])
check(tool, False, torch.float32, ("cycle", "2"), "average", [[0, 2, 4], [1, 3]])
