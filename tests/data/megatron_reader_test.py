"""Holds `rondo prepare` against Megatron-Core's own reader and writer of indexed data sets.

Megatron-Core must read back the documents, and its writer must make the same two files, byte for
byte.
"""

import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy
import torch

warnings.filterwarnings("ignore")
from megatron.core.datasets.indexed_dataset import DType, IndexedDataset, IndexedDatasetBuilder

DOCUMENTS = [bytes(range(256)) * 700, b"one line\n", "naïve café\n".encode()]
BYTE_VOCAB = 256


def prepare(rondo: str, folder: pathlib.Path) -> str:
    inputs = []
    for index, text in enumerate(DOCUMENTS):
        inputs.append(folder / f"{index}.txt")
        inputs[-1].write_bytes(text)
    prefix = str(folder / "ours")
    options = ["--input", *map(str, inputs), "--output", prefix, "--tokenizer", "bytes"]
    subprocess.run([rondo, "prepare", *options], check=True)
    return prefix


def check_reader(prefix: str) -> None:
    dataset = IndexedDataset(prefix)
    assert len(dataset) == len(DOCUMENTS)
    assert list(dataset.document_indices) == list(range(len(DOCUMENTS) + 1))
    for tokens, text in zip(dataset, DOCUMENTS):
        assert bytes(tokens.astype(numpy.uint8)) == text


def check_writer(prefix: str, folder: pathlib.Path) -> None:
    theirs = str(folder / "theirs")
    builder = IndexedDatasetBuilder(theirs + ".bin", dtype=DType.optimal_dtype(BYTE_VOCAB))
    for text in DOCUMENTS:
        builder.add_item(torch.tensor(list(text)))
        builder.end_document()
    builder.finalize(theirs + ".idx")
    for suffix in (".bin", ".idx"):
        ours = pathlib.Path(prefix + suffix).read_bytes()
        assert ours == pathlib.Path(theirs + suffix).read_bytes()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prefix = prepare(sys.argv[1], folder)
        check_reader(prefix)
        check_writer(prefix, folder)
    print("Megatron-Core reads and writes the same files")


if __name__ == "__main__":
    main()
