"""A slow and plain trainer of a Llama with shared layers: PyTorch, transformers, one process.

Shares no code with rondo. Nothing is tied here: transformers' model is called with one weight per
layer that is computed from the shared ones, so that autograd adds up what the uses contribute.
"""

import dataclasses
import json
import pathlib

import torch
from torch.func import functional_call
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaForCausalLM, LlamaRMSNorm
from transformers.utils import logging as transformers_logging

transformers_logging.disable_progress_bar()

SLOT_MODULES = {"attention": "self_attn", "feed_forward": "mlp",
                "attention_norm": "input_layernorm",
                "feed_forward_norm": "post_attention_layernorm"}
SLOT_LINEARS = {"attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
                "feed_forward": ["gate_proj", "up_proj", "down_proj"],
                "attention_norm": [], "feed_forward_norm": []}
WHOLE_MODEL = {"embedding": "model.embed_tokens", "final_norm": "model.norm", "head": "lm_head"}


def slot_tensors(slot):
    return [f"{linear}/weight" for linear in SLOT_LINEARS[slot]] or ["weight"]


def assign_blocks(strategy, depth, unique=0):
    """Block of each layer, as a list of `depth` numbers."""
    layers = range(depth)
    if strategy == "none":
        return list(layers)
    if strategy == "universal":
        return [0] * depth
    if strategy == "sequence":
        run = -(-depth // unique)
        return [layer // run for layer in layers]
    if strategy == "cycle":
        return [layer % unique for layer in layers]
    if strategy == "cycle_rev":
        backwards = min(unique, depth - unique)
        return (assign_blocks("cycle", depth - backwards, unique) +
                list(range(unique - 1, unique - 1 - backwards, -1)))
    if strategy == "zigzag":
        period = [*range(unique), *reversed(range(unique))]
        return [period[layer % len(period)] for layer in layers]
    if strategy.startswith("middle_"):
        inner = assign_blocks(strategy.removeprefix("middle_"), depth - 2, unique - 2)
        return [0, *(1 + block for block in inner), unique - 1]
    if strategy == "interleaved":  # block 1 is the one of the odd layers
        return [1 if layer % 2 else (layer // 2 + 1 if layer else 0) for layer in layers]
    raise ValueError(strategy)


def source_layers(blocks, block, init):
    """The untied layers that a shared block is the mean of."""
    depth, unique = len(blocks), max(blocks) + 1
    if init == "average":
        return [layer for layer in range(depth) if blocks[layer] == block]
    if init == "stepwise":
        return [block * (depth - 1) // (unique - 1)] if unique > 1 else [0]
    return [{"lower": block, "upper": depth - unique + block}[init]]


def make_random_model(folder, seed, **sizes):
    """A Hugging Face folder with a random untied Llama; norms are random too."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(initializer_range=0.05, **sizes))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "norm" in name:
                value.add_(0.2 * torch.randn_like(value))
    model.save_pretrained(folder)


def shared_parameters(folder, blocks, init):
    """rondo's parameters by their paths, from the untied layers in a Hugging Face folder."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64)
    untied = dict(model.named_parameters())  # tied embeddings once
    parameters = {f"{ours}/weight": untied[f"{theirs}.weight"]
                  for ours, theirs in WHOLE_MODEL.items() if f"{theirs}.weight" in untied}
    for slot, module in SLOT_MODULES.items():
        for tensor in slot_tensors(slot):
            for block in set(blocks):
                name = f"{module}.{tensor.replace('/', '.')}"
                sources = [untied[f"model.layers.{layer}.{name}"]
                           for layer in source_layers(blocks, block, init)]
                parameters[f"{slot}/{block}/{tensor}"] = torch.stack(sources).mean(0)
    return {path: value.detach().clone() for path, value in parameters.items()}


@dataclasses.dataclass
class Recipe:
    steps: int = 5
    batch: int = 8
    sequence: int = 16
    lr: float = 1e-3
    weight_decay: float = 0.1
    clip: float = 1.0
    gradient: str = "sum"


def llama_config(checkpoint_model):
    """transformers' config for the `model` attribute (JSON) of a rondo checkpoint."""
    model = json.loads(checkpoint_model)
    return LlamaConfig(
        hidden_size=model["hidden"], num_hidden_layers=model["depth"],
        num_attention_heads=model["heads"], num_key_value_heads=model["kv_heads"],
        head_dim=model["head_dim"], intermediate_size=model["ffn"], vocab_size=model["vocab"],
        rms_norm_eps=model["norm_eps"], tie_word_embeddings=model["tie_embeddings"],
        rope_parameters={"rope_type": "default", "rope_theta": model["rope_theta"]})


class Rotary(torch.nn.Module):
    """cos and sin [1, sequence, head_dim] of the rotary embedding, in float64."""

    def __init__(self, config):
        super().__init__()
        exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim
        self.frequencies = config.rope_parameters["rope_theta"] ** -exponents

    def forward(self, _, position_ids):
        angles = position_ids[..., None] * self.frequencies.repeat(2)
        return angles.cos(), angles.sin()


def float64_model(config):
    """transformers' Llama without its two detours through float32, norms and rotary embedding."""
    model = LlamaForCausalLM(config).double()
    for name, module in list(model.named_modules()):
        if isinstance(module, LlamaRMSNorm):
            model.set_submodule(name, torch.nn.RMSNorm(config.hidden_size, config.rms_norm_eps,
                                                       dtype=torch.float64))
    model.model.rotary_emb = Rotary(config)
    return model


class ReferenceTrainer:
    """`maps`: slot → component of each layer; `parameters`: rondo path → tensor."""

    def __init__(self, config, maps, parameters, recipe):
        self.maps, self.recipe = maps, recipe
        self.parameters = {path: value.to(torch.float64).requires_grad_()
                           for path, value in parameters.items()}
        self.model = float64_model(config)
        matrices = [p for p in self.parameters.values() if p.dim() >= 2]
        vectors = [p for p in self.parameters.values() if p.dim() < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": recipe.weight_decay},
             {"params": vectors, "weight_decay": 0.0}],
            lr=recipe.lr, betas=(0.9, 0.95), eps=1e-8)

    def use(self, slot, layer, tensor):
        """The weight as layer `layer` sees it: its value, and what of its gradient counts."""
        component = self.maps[slot][layer]
        shared = self.parameters[f"{slot}/{component}/{tensor}"]
        users = [l for l, c in enumerate(self.maps[slot]) if c == component]
        share = {"sum": 1.0, "mean": 1.0 / len(users), "owner": float(layer == users[0])}
        weight = shared.detach() + share[self.recipe.gradient] * (shared - shared.detach())
        adapter = f"adapters/{layer}/{slot}/{tensor.removesuffix('/weight')}"
        if f"{adapter}/a" in self.parameters:
            weight = weight + self.parameters[f"{adapter}/b"] @ self.parameters[f"{adapter}/a"]
        return weight

    def weights(self):
        """Every weight of transformers' model."""
        weights = {f"{theirs}.weight": self.parameters[f"{ours}/weight"]
                   for ours, theirs in WHOLE_MODEL.items() if ours != "head"}
        head = "head/weight" if "head/weight" in self.parameters else "embedding/weight"
        weights["lm_head.weight"] = self.parameters[head]
        for slot, module in SLOT_MODULES.items():
            for layer in range(len(self.maps[slot])):
                for tensor in slot_tensors(slot):
                    name = f"model.layers.{layer}.{module}.{tensor.replace('/', '.')}"
                    weights[name] = self.use(slot, layer, tensor)
        return weights

    def step(self, samples):
        """samples [batch, sequence + 1] → loss in nats per target and gradient norm."""
        call = {"input_ids": samples[:, :-1], "use_cache": False}
        logits = functional_call(self.model, self.weights(), (), call).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), samples[:, 1:].flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"loss": loss.item(), "grad_norm": norm.item()}

    def run(self, tokens):
        """Samples in the order of the corpus; returns one entry per step."""
        size, length = self.recipe.batch, self.recipe.sequence
        windows = torch.as_tensor(tokens).unfold(0, length + 1, length)
        return [self.step(windows[step * size:(step + 1) * size])
                for step in range(self.recipe.steps)]
