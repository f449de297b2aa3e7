"""The peer of a pipeline: a shared-layer Llama through torch.distributed.pipelining over gloo.

Executed layers are cut into chunks of equal length; a rank keeps a copy of every tensor that its
chunks use, and tensors that several ranks keep have their gradients all-reduced after the step.
One pass over the ranks is Schedule1F1B; more are ScheduleInterleaved1F1B. The rank of the last
chunk prints one JSON line: `step_s`, `loss` (mean nats per token of the global batch) of every
step, and `sent_bytes` of one step by kind, computed from the sizes of what is sent.

    torchrun --standalone --nproc-per-node 2 pipeline_peer.py --hf DIR --tokens PREFIX.bin \\
        --depth 16 --unique 4 --steps 5 --global-batch 8 --micro-batch 1 --sequence 256 --lr 1e-3
"""

import json
import os
import time

import torch
import torch.distributed
from torch.distributed import pipelining
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from peer import Batches, adamw, arguments, shared_llama


class Chunk(torch.nn.Module):
    """Consecutive layers of a Llama, with the embedding in front or the head behind."""

    def __init__(self, llama, begin, end):
        super().__init__()
        self.embedding = llama.model.embed_tokens if begin == 0 else torch.nn.Identity()
        self.rotary = llama.model.rotary_emb
        self.layers = llama.model.layers[begin:end]
        last = end == len(llama.model.layers)
        self.head = torch.nn.Sequential(*[llama.model.norm, llama.lm_head] if last else [])

    def forward(self, x):
        """Token ids [B, S] or [B, S, hidden] to [B, S, hidden] or logits [B, S, vocab]."""
        x = self.embedding(x)
        rotary = self.rotary(x, position_ids=torch.arange(x.shape[1])[None])
        for layer in self.layers:
            x = layer(x, position_embeddings=rotary)
        return self.head(x)


class Parameters:
    """Those of this rank's chunks. Gradients of tied ones are views of one flat buffer."""

    def __init__(self, llama, chunks, rank, world):
        used = {id(p) for chunk in chunks for p in chunk.parameters()}
        own = {name: p for name, p in llama.named_parameters() if id(p) in used}
        holders = [None] * world
        torch.distributed.all_gather_object(holders, list(own))
        elsewhere = {name for other in range(world) if other != rank for name in holders[other]}
        counted = {name for other in range(rank) for name in holders[other]}
        self.all = list(own.values())
        self.first = [p for name, p in own.items() if name not in counted]
        self.flat = flat_gradients([p for name, p in own.items() if name in elsewhere])

    def sum_tied(self):
        torch.distributed.all_reduce(self.flat)

    def clip(self, most):
        """Each tensor counts once, on the first rank that holds it."""
        square = get_total_norm([p.grad for p in self.first]).square()
        torch.distributed.all_reduce(square)
        clip_grads_with_norm_(self.all, most, square.sqrt())


def flat_gradients(parameters):
    flat = torch.zeros(sum(p.numel() for p in parameters))
    begin = 0
    for p in parameters:
        p.grad = flat[begin : begin + p.numel()].view_as(p)
        begin += p.numel()
    return flat


def make_schedule(chunks, rank, world, microbatches):
    count = len(chunks) * world
    stages = [
        pipelining.PipelineStage(chunk, i * world + rank, count, torch.device("cpu"))
        for i, chunk in enumerate(chunks)
    ]

    def mean_loss(logits, target):
        return cross_entropy(logits.flatten(0, 1), target.flatten()) / microbatches

    # The library would divide the gradients of a tensor once for each chunk that uses it.
    settings = {"loss_fn": mean_loss, "scale_grads": False}
    if count == world:
        return pipelining.Schedule1F1B(stages[0], microbatches, **settings)
    return pipelining.ScheduleInterleaved1F1B(stages, microbatches, **settings)


def train(schedule, parameters, options, rank, world):
    """Seconds and mean loss of every step; the loss counts on the last rank only."""
    optimizer = adamw(parameters.all, options.lr)
    batches = Batches(options.tokens, options.sequence)
    seconds, means = [], []
    for step in range(options.steps):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=False)
        x, y = batches.rows(step * options.global_batch, options.global_batch)
        losses = []
        inputs = (x,) if rank == 0 else ()
        target = y if rank + 1 == world else None
        schedule.step(*inputs, target=target, losses=losses, return_outputs=False)
        parameters.sum_tied()
        parameters.clip(1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        means.append(sum(loss.item() for loss in losses))
    return seconds, means


def sent_bytes(flat, hidden, chunks, options, world):
    """Activations and their gradients cross every seam; a ring sends 2·(n−1)/n of the buffer."""
    rows = options.global_batch * options.sequence
    seams = chunks - 1
    return {
        "activation": 2 * seams * rows * hidden * flat.element_size(),
        "reduce": 2 * (world - 1) * flat.numel() * flat.element_size(),
    }


def main():
    parser = arguments()
    parser.add_argument("--passes", type=int, default=1, help="over the ranks, in a loop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    llama = shared_llama(options.hf, options.depth, options.unique)
    count = options.passes * world
    length = options.depth // count
    chunks = [Chunk(llama, k * length, (k + 1) * length) for k in range(rank, count, world)]
    parameters = Parameters(llama, chunks, rank, world)
    del llama
    microbatches = options.global_batch // options.micro_batch
    schedule = make_schedule(chunks, rank, world, microbatches)
    seconds, losses = train(schedule, parameters, options, rank, world)
    if rank + 1 == world:
        hidden = parameters.all[-1].shape[-1]  # of the final norm
        sent = sent_bytes(parameters.flat, hidden, count, options, world)
        print(json.dumps({"step_s": seconds, "loss": losses, "sent_bytes": sent}), flush=True)
    torch.distributed.barrier()
    os._exit(0)  # as in peer.py


main()
