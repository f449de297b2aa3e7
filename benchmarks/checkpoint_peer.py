"""Saves and loads one rank's half of a state with PyTorch, and prints the seconds as JSON.

    checkpoint_peer.py WAY FOLDER MEGABYTES      under mpirun; WAY is dcp, dcp_async or torch_save

dcp: torch.distributed.checkpoint.save of different tensors from every rank. torch_save: rank 0
writes all of it, as a training script without sharding does. A save counts until its bytes are on
the disk, as rondo's does.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

import sides

way, folder, megabytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
rank, ranks = (int(os.environ[f"OMPI_COMM_WORLD_{name}"]) for name in ("RANK", "SIZE"))
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous-{way}", rank=rank,
                        world_size=ranks)
torch.set_num_threads(1)
tensors = 48
shares = 1 if way == "torch_save" else ranks
state = {f"{rank}.{i}": torch.randn(megabytes * 1000000 // 4 // tensors // shares)
         for i in range(tensors)}


def on_disk(path):
    for root, _, files in os.walk(path):
        for name in files:
            with open(os.path.join(root, name), "rb") as file:
                os.fsync(file.fileno())


def save(path):
    """Seconds for which the caller waits, and seconds until the bytes are on the disk."""
    dist.barrier()
    start = time.perf_counter()
    if way == "dcp":
        dcp.save(state, checkpoint_id=path)
    elif way == "dcp_async":
        dcp_result = dcp.async_save(state, checkpoint_id=path)
        stall = time.perf_counter() - start
        dcp_result.result()
    elif rank == 0:
        torch.save(state, path)
    if way != "dcp_async":
        stall = None
    if rank == 0:
        on_disk(path) if way != "torch_save" else os.fsync(os.open(path, os.O_RDONLY))
    dist.barrier()
    seconds = time.perf_counter() - start
    return (seconds if stall is None else stall), seconds


def load(path):
    if rank == 0:
        sides.forget(Path(path))
    dist.barrier()
    start = time.perf_counter()
    if way == "torch_save":
        torch.load(path)  # every rank, as scripts do
    else:
        dcp.load(state, checkpoint_id=path)
    dist.barrier()
    return time.perf_counter() - start


save(f"{folder}/{way}-warm")
stall_s, save_s = save(f"{folder}/{way}")
load_s = load(f"{folder}/{way}")
if rank == 0:
    print(json.dumps({"save_s": save_s, "stall_s": stall_s, "load_s": load_s}))
dist.destroy_process_group()
