"""h5py reads a checkpoint as the layout says: checkpoint_layout_test.py CHECKPOINT_TOOL"""

import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

tool = sys.argv[1]
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "step-00000100.h5"
    subprocess.run([tool, "write", path], check=True)
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
        assert attributes["format"] == "rondo", attributes["format"]
        assert attributes["format_version"] == 1
        assert attributes["step"] == 100
        assert attributes["tokens"] == 5_000_000_000
        assert attributes["relaxation"] == 2
        assert attributes["config"] == "[model]\nhidden = 8  # größer\n"
        assert attributes["tokenizer"] == "bytes" and attributes["end_token"] == 7
        assert json.loads(attributes["sharing"]) == {
            "attention": [0, 1, 0, 1],
            "feed_forward": [0, 0, 0, 0],
            "attention_norm": [0, 1, 2, 3],
            "feed_forward_norm": [0, 1, 2, 3],
        }
        assert json.loads(attributes["model"]) == {
            "family": "llama", "hidden": 8, "depth": 4, "heads": 2, "kv_heads": 1, "head_dim": 4,
            "ffn": 12, "vocab": 16, "positions": 0, "rope_theta": 100000.0, "rotary_fraction": 1.0,
            "norm_eps": 1e-6, "tie_embeddings": False,
        }

        linears = {"q_proj": (8, 8), "k_proj": (4, 8), "v_proj": (4, 8), "o_proj": (8, 8),
                   "gate_proj": (12, 8), "up_proj": (12, 8), "down_proj": (8, 12)}
        slot_of = {name: "attention" if name[0] in "qkvo" else "feed_forward" for name in linears}
        expected = {"embedding/weight": (16, 8), "final_norm/weight": (8,), "head/weight": (16, 8)}
        for name, shape in linears.items():
            for component in range(2 if slot_of[name] == "attention" else 1):
                expected[f"{slot_of[name]}/{component}/{name}/weight"] = shape
            for layer in range(4):
                expected[f"adapters/{layer}/{slot_of[name]}/{name}/a"] = (2, shape[1])
                expected[f"adapters/{layer}/{slot_of[name]}/{name}/b"] = (shape[0], 2)
        for layer in range(4):
            expected[f"attention_norm/{layer}/weight"] = (8,)
            expected[f"feed_forward_norm/{layer}/weight"] = (8,)

        found = {}
        file.visititems(lambda name, item: found.update({name: item})
                        if isinstance(item, h5py.Dataset) else None)
        folders = {"parameters": "<f4", "optimizer/exp_avg": "<f8", "optimizer/exp_avg_sq": "<f8"}
        assert set(found) == {f"{top}/{name}" for top in folders for name in expected}
        for top, dtype in folders.items():
            for name, shape in expected.items():
                dataset = found[f"{top}/{name}"]
                assert dataset.shape == shape, (top, name, dataset.shape)
                assert dataset.dtype == np.dtype(dtype), (top, name, dataset.dtype)
                assert "checksum" in dataset.attrs
                values = dataset[()].ravel().astype(np.float64)
                assert np.array_equal(values - values[0], np.arange(values.size) / 1024)
        first = [found[f"{top}/{name}"][()].ravel()[0] for top in folders for name in expected]
        assert sorted(first) == list(range(len(first)))
