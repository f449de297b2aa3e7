"""Small random models of every family, as transformers makes and keeps them."""

import pathlib
import subprocess

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

import rondo_runs

torch.set_num_threads(1)
transformers_logging.disable_progress_bar()
VOCAB = 64
LLAMA_LIKE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
              "num_attention_heads": 4, "vocab_size": VOCAB, "initializer_range": 0.1}
GQA = LLAMA_LIKE | {"num_key_value_heads": 2}


def configs(layers=3):
    """By family."""
    llama_like, gqa = (sizes | {"num_hidden_layers": layers} for sizes in (LLAMA_LIKE, GQA))
    return {
        "llama": transformers.LlamaConfig(**gqa, tie_word_embeddings=False),
        "mistral": transformers.MistralConfig(**gqa, sliding_window=None),
        "qwen2": transformers.Qwen2Config(**gqa, tie_word_embeddings=True),
        "qwen3": transformers.Qwen3Config(**gqa, head_dim=12),
        # Else the embedding's row of the padding token would start at zero and get no gradient.
        "gemma": transformers.GemmaConfig(**llama_like, num_key_value_heads=1, head_dim=12,
                                          pad_token_id=None),
        "gpt_neox": transformers.GPTNeoXConfig(**llama_like, rotary_pct=0.25,
                                               tie_word_embeddings=False),
        "gpt2": transformers.GPT2Config(n_embd=32, n_layer=layers, n_head=4, vocab_size=VOCAB,
                                        n_positions=24, initializer_range=0.1, bos_token_id=None,
                                        eos_token_id=None)}


def save_random_model(config, folder, dtype=torch.float32):
    """Biases and gains are random too. Returns the model."""
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 1:
                value.add_(0.2 * torch.randn_like(value))
    model = model.to(dtype).eval()
    model.save_pretrained(folder)
    return model


def adamw(model):
    """The optimizer of a run at a constant rate of 1e-3: decay on matrices alone."""
    groups = [{"params": [p for p in model.parameters() if (p.dim() >= 2) == matrix],
               "weight_decay": decay} for matrix, decay in ((True, 0.1), (False, 0.0))]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8)


def load(folder, dtype=torch.float64):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


class Rotary(torch.nn.Module):
    """cos and sin [1, sequence, head_dim] of the rotary embedding, in float64."""

    def __init__(self, config):
        super().__init__()
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        exponents = torch.arange(0, size, 2, dtype=torch.float64) / size
        self.frequencies = config.rope_parameters["rope_theta"] ** -exponents

    def forward(self, _, position_ids):
        angles = position_ids[..., None] * self.frequencies.repeat(2)
        return angles.cos(), angles.sin()


def load_exact(folder):
    """A model of the Llama line without its detours through float32: norms and rotary angles."""
    model = load(folder)
    for name, module in list(model.named_modules()):
        if type(module).__name__.endswith("RMSNorm"):
            norm = torch.nn.RMSNorm(module.weight.shape, module.variance_epsilon,
                                    dtype=torch.float64)
            norm.weight = module.weight
            model.set_submodule(name, norm)
    model.model.rotary_emb = Rotary(model.config)
    return model


def logits_of(test, file, way, tokens, precision="float32"):
    """By rondo, [tokens, vocab]: all at once ("whole"), or one after the other ("step")."""
    tool = pathlib.Path(test.program).parent / "tests" / "reference" / "logits"
    out = subprocess.run([tool, file, precision, way, *map(str, tokens)], cwd=test.folder,
                         check=True, env=rondo_runs.ENVIRONMENT, stdout=subprocess.PIPE).stdout
    return np.frombuffer(out, precision).reshape(len(tokens), -1)
