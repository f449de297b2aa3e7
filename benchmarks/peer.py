"""The peer: a shared-layer Llama trained by PyTorch + transformers, the usual way.

Layers share a block by being the same module. One process trains alone; under torchrun the ranks
are replicas through DistributedDataParallel over gloo. Rank 0 prints one JSON line: `step_s` and
`loss` (mean nats per token of the global batch) of every step.

    torchrun --standalone --nproc-per-node 2 peer.py --hf DIR --tokens PREFIX.bin --depth 8 \\
        --unique 4 --steps 5 --global-batch 8 --micro-batch 4 --sequence 256 --lr 1e-3
"""

import argparse
import contextlib
import json
import os
import time

import numpy
import torch
import torch.distributed
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM


def arguments():
    """Those of every peer; the caller may add its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hf", required=True, help="Hugging Face folder: its first blocks")
    parser.add_argument("--tokens", required=True, help="file of uint16 token ids")
    parser.add_argument("--depth", type=int, required=True, help="executed layers")
    parser.add_argument("--unique", type=int, required=True, help="blocks, shared in a cycle")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--global-batch", type=int, required=True, help="sequences per step")
    parser.add_argument("--micro-batch", type=int, required=True, help="sequences per forward")
    parser.add_argument("--sequence", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    return parser


def shared_llama(folder, depth, unique):
    """A model whose layer i is block i mod `unique`; only the blocks are ever loaded."""
    model = LlamaForCausalLM.from_pretrained(
        folder, num_hidden_layers=unique, dtype=torch.float32, attn_implementation="sdpa"
    )
    blocks = model.model.layers
    model.model.layers = torch.nn.ModuleList([blocks[i % unique] for i in range(depth)])
    model.config.num_hidden_layers = depth
    model.config.use_cache = False
    return model.train()


def adamw(parameters, lr):
    """Decay on matrices only."""
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), eps=1e-8, fused=True)


class Batches:
    """Sample k is tokens [k·S, k·S + S] in the order of the file."""

    def __init__(self, file, sequence):
        self.tokens = numpy.memmap(file, dtype=numpy.uint16, mode="r")
        self.sequence = sequence

    def rows(self, first, count):
        """Inputs and targets, both [count, S] int64."""
        s = self.sequence
        run = numpy.stack([self.tokens[k * s : k * s + s + 1] for k in range(first, first + count)])
        run = torch.from_numpy(run.astype(numpy.int64))
        return run[:, :-1], run[:, 1:]


def train(model, options, rank, world):
    """Seconds and this rank's mean loss of every step."""
    device = next(model.parameters()).device
    half = torch.autocast(device.type, torch.bfloat16, enabled=options.half)
    parameters = list(model.parameters())  # each shared tensor once
    optimizer = adamw(parameters, options.lr)
    batches = Batches(options.tokens, options.sequence)
    rows = options.global_batch // world
    micro = options.micro_batch
    seconds, losses = [], []
    for step in range(options.steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        total = 0.0
        for row in range(0, rows, micro):
            x, y = batches.rows(step * options.global_batch + rank * rows + row, micro)
            x, y = x.to(device), y.to(device)
            more = world > 1 and row + micro < rows
            with model.no_sync() if more else contextlib.nullcontext():
                with half:
                    logits = model(input_ids=x).logits
                    loss = cross_entropy(logits.flatten(0, 1), y.flatten()) * (micro / rows)
                loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        losses.append(total)
    return seconds, losses


def main():
    parser = arguments()
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--half", action="store_true", help="autocast to bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    model = shared_llama(options.hf, options.depth, options.unique).to(options.device)
    if options.compile:
        model.compile()
    if world > 1:
        torch.distributed.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    seconds, losses = train(model, options, rank, world)
    if world > 1:
        mean = torch.tensor(losses, dtype=torch.float64)
        torch.distributed.all_reduce(mean)
        losses = (mean / world).tolist()
    if rank == 0:
        result = {"step_s": seconds, "loss": losses}
        if options.device == "cuda":
            result["device_peak"] = torch.cuda.max_memory_allocated()
        print(json.dumps(result), flush=True)
    if world > 1:
        torch.distributed.barrier()
        os._exit(0)  # taking DDP over gloo down has been seen to hang for ever


if __name__ == "__main__":
    main()
