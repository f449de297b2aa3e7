#!/usr/bin/env bash
# Fetches the six novels of Jane Austen as plain text, from the Debian package r-cran-janeaustenr.
#
#   scripts/fetch_corpus.sh DIR
#
# Writes DIR/train.txt (five novels, 3.6 MB) and DIR/validation.txt (Persuasion, held out whole,
# 0.5 MB). Does nothing when both are there.
set -euo pipefail

if [[ $# -ne 1 ]]; then
  echo "usage: scripts/fetch_corpus.sh DIR" >&2
  exit 2
fi
target=$1
[[ -s $target/train.txt && -s $target/validation.txt ]] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

download() { (cd "$work" && apt-get -q download r-cran-janeaustenr) >"$work/log" 2>&1; }
update() { if ((EUID == 0)); then apt-get -q update; else sudo apt-get -q update; fi >/dev/null; }
if ! download && ! { update && download; }; then
  tail -n 3 "$work/log" >&2
  echo "corpus: cannot fetch the Debian package r-cran-janeaustenr (try: apt-get update)" >&2
  exit 1
fi
dpkg-deb -x "$work"/r-cran-janeaustenr_*.deb "$work/package"

/usr/bin/python3 - "$work/package/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb" "$target" <<'PYTHON'
"""The package holds one R character vector a novel, one string a line of print.

Rdata.rdb is a row of objects, each the length of its contents (4 bytes, big-endian) and the
contents, deflated. A serialized character vector is "X\\n", three version numbers, the name of the
encoding, a type word, the number of strings, and each string as type word, length and bytes.
"""
import os
import struct
import sys
import zlib


def objects(data):
    while data:
        inflate = zlib.decompressobj()
        contents = inflate.decompress(data[4:])
        assert len(contents) == struct.unpack_from(">i", data)[0], "not a database of R objects"
        yield contents
        data = inflate.unused_data


def strings(data):
    character_vector, character_string = 16, 9
    assert data[:2] == b"X\n", "not a serialized R object"
    at = 2 + 3 * 4
    at += 4 + struct.unpack_from(">i", data, at)[0]
    kind, count = struct.unpack_from(">ii", data, at)
    assert kind & 0xFF == character_vector, "not a character vector"
    at += 8
    for _ in range(count):
        kind, length = struct.unpack_from(">ii", data, at)
        assert kind & 0xFF == character_string, "not a string"
        at += 8
        yield data[at : at + length]
        at += length


def write(path, novels):
    with open(path + ".partial", "wb") as out:
        out.write(b"\n\n".join(novels))
    os.rename(path + ".partial", path)


with open(sys.argv[1], "rb") as database:
    novels = [b"\n".join(strings(contents)) + b"\n" for contents in objects(database.read())]
held_out = [novel for novel in novels if novel.lower().startswith(b"persuasion")]
assert len(novels) == 6 and len(held_out) == 1, "not the six novels"
os.makedirs(sys.argv[2], exist_ok=True)
write(os.path.join(sys.argv[2], "validation.txt"), held_out)
write(os.path.join(sys.argv[2], "train.txt"), [n for n in novels if n not in held_out])
PYTHON
