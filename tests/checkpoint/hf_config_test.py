"""config.json means to rondo what it means to transformers: hf_config_test.py HF_CONFIG_TOOL"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from transformers import CONFIG_MAPPING

TOOL = subprocess.Popen([sys.argv.pop(1)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 6,
         "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 16, "vocab_size": 99,
         "rms_norm_eps": 1e-3, "rope_theta": 2e4, "tie_word_embeddings": True}
QWEN = SIZES | {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 2}
SMALL = {
    "llama": SIZES,
    "mistral": SIZES | {"sliding_window": 7},
    "ministral": SIZES | {"sliding_window": 7},
    "qwen2": QWEN,
    "qwen3": QWEN,
    "gemma": SIZES,
    "gpt_neox": {key: value for key, value in SIZES.items()
                 if key not in ("num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta")} | {
        "hidden_size": 128, "rotary_pct": 0.5, "rotary_emb_base": 2e4, "layer_norm_eps": 1e-3},
    "gpt2": {"n_embd": 64, "n_layer": 6, "n_head": 8, "n_inner": 100, "n_positions": 50,
             "vocab_size": 99, "layer_norm_epsilon": 1e-3, "tie_word_embeddings": False}}
OTHERS = {"silu": ["swish"], "gelu": ["gelu_python"],
          "gelu_tanh": ["gelu_pytorch_tanh", "gelu_python_tanh", "gelu_new", "gelu_fast",
                        "gelu_accurate"]}


def ask(*words):
    """What the tool answers to a line."""
    TOOL.stdin.write(" ".join(words) + "\n")
    TOOL.stdin.flush()
    return json.loads(TOOL.stdout.readline())


def tool(way, configs):
    """What rondo makes of each: a dict, or the text of its refusal."""
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        for config in configs:
            (pathlib.Path(folder) / "config.json").write_text(json.dumps(config))
            answers.append(ask(way, folder))
    return answers


def theirs(config):
    """transformers' config object, or None where it refuses."""
    try:
        return CONFIG_MAPPING[config["model_type"]].from_dict(json.loads(json.dumps(config)))
    except Exception:  # the classes raise what they like
        return None


def slides(config):
    """Whether each layer does, by transformers."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if config.model_type == "mistral":
        kinds = None
    if kinds is None:
        return [window is not None] * config.num_hidden_layers
    return [kind == "sliding_attention" for kind in kinds]


def ours_slide(spec):
    """The same, from `window_layers`."""
    depth, text = spec["depth"], spec["window_layers"]
    if spec["window"] == 0:
        return [False] * depth
    if text == "all":
        return [True] * depth
    if text.startswith("from:"):
        return [layer >= int(text[5:]) for layer in range(depth)]
    return [text[layer % len(text)] == "s" for layer in range(depth)]


def expected(config):
    """The specification that transformers' config object stands for."""
    first = lambda *names: next(value for value in (getattr(config, n, None) for n in names)
                                if value is not None)
    hidden, heads = config.hidden_size, config.num_attention_heads
    rope = getattr(config, "rope_parameters", None) or {}
    ffn = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None)
    sliding = slides(config)
    return {"hidden": hidden, "depth": config.num_hidden_layers, "heads": heads,
            "kv_heads": getattr(config, "num_key_value_heads", None) or heads,
            "head_dim": getattr(config, "head_dim", None) or hidden // heads,
            "ffn": ffn or 4 * hidden, "vocab": config.vocab_size,
            "positions": getattr(config, "n_positions", 0),
            "rope_theta": rope.get("rope_theta", 10000.0),
            "rotary_fraction": rope.get("partial_rotary_factor", 1.0),
            "norm_eps": first("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"),
            "tie_embeddings": config.tie_word_embeddings,
            "window": config.sliding_window if any(sliding) else 0, "slides": sliding}


def specification(spec):
    spec = {"window": 0, "window_layers": "all"} | spec  # written where they are not the default
    spec["slides"] = ours_slide(spec)
    for key in ("family", "window_layers"):
        spec.pop(key)
    return spec


class Configs(unittest.TestCase):
    maxDiff = None

    def check(self, configs):
        """Each is to rondo what it is to transformers, also after rondo wrote it."""
        exported = tool("export", configs)
        for config, read, written, again in zip(configs, tool("read", configs), exported,
                                                tool("read", exported), strict=True):
            with self.subTest(config=config):
                self.assertIsInstance(read, dict, read)
                wanted = expected(theirs(config))
                self.assertEqual(specification(read), wanted)
                self.assertEqual(expected(theirs(written)), wanted)
                self.assertEqual(specification(again), wanted)

    def check_refused(self, configs, *parts):
        for config, read in zip(configs, tool("read", configs), strict=True):
            with self.subTest(config=config):
                self.assertIsInstance(read, str)
                for part in parts:
                    self.assertIn(part, read)

    def test_what_is_absent_is_the_default_of_the_class(self):
        rows = ask("table")
        self.assertEqual({row["model_type"] for row in rows}, set(SMALL))
        for row in rows:
            empty, small = {"model_type": row["model_type"]}, SMALL[row["model_type"]]
            configs = [empty, empty | small]
            for key in small:
                # The heads of some classes do not go into so few elements.
                heads = {"num_attention_heads": 32} if key == "hidden_size" else {}
                configs += [empty | {k: v for k, v in small.items() if k != key},
                            empty | {key: small[key]} | heads]
            # A default number of key heads may fit no other number of heads.
            fits = lambda c: expected(theirs(c))["heads"] % expected(theirs(c))["kv_heads"] == 0
            self.check([config for config in configs if fits(config)])
            self.check_refused([config for config in configs if not fits(config)],
                               "num_key_value_heads")
            config = theirs(empty)
            for place, values in row["fixed"].items():
                outer, _, inner = place.rpartition(".")
                default = getattr(config, inner, None) if not outer else (
                    getattr(config, outer, None) or {}).get(inner)
                self.assertIn(default, [None, *values], f"{row['model_type']} {place}")

    def test_null_is_what_the_class_makes_of_it(self):
        taken, refused = [], {}  # transformers cannot compute with some of those that it reads
        for kind, small in SMALL.items():
            for key in small:
                config = {"model_type": kind} | small | {key: None}
                useless = key == "rope_theta" or kind == "gpt_neox" and key.startswith("rotary")
                if useless or theirs(config) is None:
                    refused.setdefault(key, []).append(config)
                else:
                    taken.append(config)
        self.check(taken)
        for key, configs in refused.items():
            self.check_refused(configs, key)

    def test_the_rotary_base_is_found_where_transformers_finds_it(self):
        plain = {"rope_type": "default"}
        for kind in ("llama", "mistral", "qwen2", "qwen3", "gemma"):
            base = {"model_type": kind} | {k: v for k, v in SMALL[kind].items() if k != "rope_theta"}
            self.check([base | more for more in (
                {}, {"rope_theta": 5e5}, {"rope_theta": 500000},
                {"rope_scaling": plain | {"rope_theta": 5e5}},
                {"rope_scaling": {"type": "default", "rope_theta": 5e5}},
                {"rope_parameters": {"rope_theta": 5e5}},
                {"rope_parameters": plain | {"rope_theta": 5e5}, "rope_theta": 5e5},
                {"rope_scaling": {}, "rope_parameters": {"rope_theta": 5e5}},
                {"rope_scaling": None, "rope_theta": 5e5},
                {"rope_scaling": plain, "rope_theta": 5e5})])
            self.check_refused([base | more for more in (
                {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}},
                {"rope_theta": 1e4, "rope_scaling": plain | {"rope_theta": 5e5}},
                {"rope_scaling": plain, "rope_parameters": {"rope_theta": 5e5}},
                {"rope_scaling": plain | {"rope_theta": 1e4},
                 "rope_parameters": plain | {"rope_theta": 5e5}},
                {"rope_parameters": {"full_attention": {"rope_theta": 5e5}}})], "rope_")

    def test_so_it_is_in_gpt_neox_with_the_part_that_is_turned(self):
        base = {"model_type": "gpt_neox"} | {k: v for k, v in SMALL["gpt_neox"].items()
                                            if not k.startswith("rotary")}
        self.check([base | more for more in (
            {}, {"rotary_pct": 1.0}, {"rotary_emb_base": 5e5},
            {"rope_parameters": {"rope_theta": 5e5}, "rotary_pct": 0.5},
            {"rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 0.5}},
            {"rope_scaling": {"rope_type": "default", "rope_theta": 5e5}},
            {"rope_parameters": {"partial_rotary_factor": 1.0}, "rotary_emb_base": 5e5},
            {"rotary_emb_base": 5e5, "rope_theta": 5e5})])
        self.check_refused([base | {"rope_theta": 5e5}], "rope_theta = 500000.0", "the default")
        self.check_refused([base | {"rotary_emb_base": 1e4, "rope_parameters": {"rope_theta": 5e5}}],
                           "rotary_emb_base = 10000.0", "rope_parameters.rope_theta is 500000.0")
        self.check_refused([base | {"rotary_pct": 0.5,
                                    "rope_parameters": {"partial_rotary_factor": 1.0}}],
                           "rotary_pct = 0.5")

    def test_an_export_has_the_base_at_one_place(self):
        for kind in SMALL:
            if kind == "gpt2":
                continue
            config = {"model_type": kind} | SMALL[kind]
            for top in ("rope_theta", "rotary_emb_base"):
                config.pop(top, None)
            for place in ("rope_scaling", "rope_parameters"):
                config[place] = {"rope_type": "default", "rope_theta": 5e5}
                text = json.dumps(tool("export", [config])[0])
                self.assertEqual(text.count("500000"), 1, text)

    def test_an_activation_has_several_names(self):
        keys = {"llama": ("hidden_act", "silu"), "mistral": ("hidden_act", "silu"),
                "qwen2": ("hidden_act", "silu"), "qwen3": ("hidden_act", "silu"),
                "gemma": ("hidden_act", "gelu_tanh"), "gpt_neox": ("hidden_act", "gelu"),
                "gpt2": ("activation_function", "gelu_tanh")}
        for kind, (key, function) in keys.items():
            for other, names in OTHERS.items():
                configs = [{"model_type": kind} | SMALL[kind] | {key: name} for name in names]
                if other == function:
                    self.check(configs)
                else:
                    self.check_refused(configs, key)
            self.check_refused([{"model_type": kind} | SMALL[kind] | {key: "relu"}], key)

    def test_windows_are_those_of_transformers(self):
        kinds = ["full_attention", "sliding_attention"]
        listed = [[kinds[layer % 2] for layer in range(6)], [kinds[1]] * 6, [kinds[0]] * 6,
                  [kinds[layer in (1, 2, 5)] for layer in range(6)],
                  [kinds[layer > 3] for layer in range(6)]]
        for kind in ("qwen2", "qwen3", "ministral"):
            config = {"model_type": kind} | SMALL[kind]
            self.check([config | {"layer_types": layers} for layers in [*listed, None]])
            self.check_refused([config | {"layer_types": listed[0][:-1]},
                                config | {"layer_types": ["chunked_attention"] * 6},
                                config | {"layer_types": listed[0], "sliding_window": None}],
                               "layer_types")
        for kind in ("qwen2", "qwen3"):
            config = {"model_type": kind} | SMALL[kind]
            self.check([config | more for more in (
                {"max_window_layers": 0}, {"max_window_layers": 5}, {"max_window_layers": 6},
                {"max_window_layers": 28}, {"use_sliding_window": False}, {"sliding_window": None},
                {"sliding_window": 1}, {"sliding_window": 131072})])
            self.check_refused([config | {"layer_types": listed[0], "use_sliding_window": False}],
                               "layer_types")
        self.check([{"model_type": "mistral"} | SMALL["mistral"] | more for more in (
            {"sliding_window": None}, {"sliding_window": 4096}, {"layer_types": listed[1]})])
        self.check_refused([{"model_type": "mistral"} | SMALL["mistral"] |
                            {"layer_types": listed[0]}], "layer_types")
        for kind in ("llama", "gemma", "gpt_neox", "gpt2"):
            config = {"model_type": kind} | SMALL[kind]
            self.check_refused([config | {"sliding_window": 4096}], "sliding_window")
        self.check_refused([{"model_type": "mistral", "sliding_window": 0}], "sliding_window")


if __name__ == "__main__":
    unittest.main()
