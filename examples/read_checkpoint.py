"""Reads a checkpoint of rondo with h5py: which layer uses which weights, and one of them.

    python3 read_checkpoint.py runs/first/checkpoints/step-00000200.h5
"""

import json
import sys

import h5py


def layer_weights(file, layer):
    """The tensors of one executed layer by name: those of the components that the sharing map gives it."""
    weights = {}
    for slot, ids in json.loads(file.attrs["sharing"]).items():
        group = file[f"parameters/{slot}/{ids[layer]}"]
        group.visititems(lambda name, item: weights.update({f"{slot}/{name}": item[()]})
                         if isinstance(item, h5py.Dataset) else None)
    return weights


def main(path):
    with h5py.File(path) as file:
        sharing = json.loads(file.attrs["sharing"])
        print(f"{path}: step {file.attrs['step']}, {file.attrs['tokens']} tokens seen")
        for slot, ids in sharing.items():
            print(f"{slot:18}", *(f"{number:3}" for number in ids))
        for name, values in layer_weights(file, layer=0).items():
            print(f"layer 0  {name:38} {'x'.join(map(str, values.shape)):10} mean square {(values ** 2).mean():.3e}")


if __name__ == "__main__":
    main(sys.argv[1])
