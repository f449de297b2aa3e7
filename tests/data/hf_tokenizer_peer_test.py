"""Holds our reading of tokenizer.json against the library that such files come from.

Small tokenizers are trained in the styles of published models. Ids must be equal, and so must the
bytes that they decode to.
"""

import functools
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata
import unittest

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers.pre_tokenizers import ByteLevel, Digits, Metaspace, Sequence, Split

from split_patterns import KIMI, LLAMA3, PATTERNS, QWEN2

END = "<|endoftext|>"

TEXTS = {
    "prose": "The refrain comes back again, and each block turns; the final one doesn't.\n" * 3,
    "contractions": "I'm you'RE he's SHE'LL they'd we've don't 'tis ’s it'ſ 'S'T'",
    "digits": "0 12 123 1234 12345 3.14159 1,000,000 a1b22c333 ٣٤٥ Ⅷ ½² 十二 1२3 1234567",
    "spaces": "a  b   c    d \t\te\u00a0f\u3000g\u2003\u2003h\u180e!i\u200bj \u0085 k   ",
    "lines": "\n\na\n b\r\nc\r\n\r\n  d\n\n\n   \n e\r\r\tf.\n\n!\n",
    "leading": "   three spaces\n    four",
    "code": "def f(x):\n    if x >= 10:\n        return {'a': [x**2, -x]}  # ok\n\n\treturn None\n",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 é🇩🇪 ❤️🎵",
    "composed": "e\u0301 o\u0308\u0323 A\u030a \u1e9b\u0323 \u1100\u1161\u11a8 \u0958 \u212b ﬁ \u0301x",
    "scripts": "漢字かな交じり文。한국어 العربية עברית हिन्दी ไทย Ελληνικά ѣ ǅ ʰ ა",
    "categories": "_ - – ( [ « » † § ¶ © + < = > ^ ` ~ $ € ° ¨ \u0488 \u093e \ue000 \u0378 \U000e0001",
    "controls": "\x00\x01\x1b[0m\x7f\u0080\u009f\ufeff\ufffd\ufffe",
    "specials": f"one{END}two {END} three<|im_start|>user\n{END}{END}<|endoftext<|im_end|> |>",
    "nested": "<|im|> <|im_start|> <|im_start <mask> \n <mask>x  <mask>  <mask>\u3000y",
    "one": "a",
}


def corpus():
    return [text * 3 for text in TEXTS.values()] + ["the then there other mother of often " * 20]


def is_old(text):
    """Whether Unicode 14, which both sides know, has the characters: later ones may differ."""
    return all(unicodedata.category(character) != "Cn" for character in text)


def random_texts(count):
    rng = random.Random(7)
    ranges = [(0x20, 0x7E)] * 6 + [(0xA0, 0x24F), (0x300, 0x36F), (0x2000, 0x206F)]
    ranges += [(0x0, 0xD7FF), (0xE000, 0xFFFF), (0x1F300, 0x1FAFF), (0x10000, 0x10FFFF)]
    special = ["\n", "\r\n", " ", "  ", "    ", "'s", "12", END, "<|im_end|>", "<mask>", "e\u0301"]
    for _ in range(count):
        pieces = []
        for _ in range(rng.randrange(1, 60)):
            low, high = rng.choice(ranges)
            drawn = rng.choice([chr(rng.randint(low, high)), rng.choice(special)])
            pieces.append(drawn if is_old(drawn) else "?")
        yield "".join(pieces)


def train(pre_tokenizer, normalizer=None, added=(), **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    specials = [END, "<|im_start|>", "<|im_end|>", "<|im|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        show_progress=False,
        special_tokens=specials,
        initial_alphabet=ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_tokens(list(added))
    return json.loads(tokenizer.to_str())


def gpt2():
    """With merges as they were written in its day, and no type for the model."""
    root = train(ByteLevel(add_prefix_space=False, use_regex=True))
    root["model"]["merges"] = [" ".join(merge) for merge in root["model"]["merges"]]
    root["model"].update(continuing_subword_prefix="", end_of_word_suffix="")
    del root["model"]["type"]
    return root


def smollm2():
    return train(Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]))


def split_by(pattern):
    words = Split(Regex(pattern), "isolated", invert=False)
    return Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])


def llama3():
    """Whole words are pieces, which the merges would not find."""
    root = train(split_by(LLAMA3), ignore_merges=True)
    pieces = [*root["model"]["vocab"], *(t["content"] for t in root["added_tokens"])]
    for word in ("Ġrefrain", "Ġfinal", "ĠturnsĠ", "doesn"):
        if word not in pieces:
            root["model"]["vocab"][word] = len(root["model"]["vocab"])
    root["model"]["merges"] = [m for m in root["model"]["merges"] if "".join(m) != "Ġrefrain"]
    return root


def qwen2():
    return train(split_by(QWEN2), normalizers.NFC())


def pythia():
    runs = [AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)]
    stripping = [AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False)]
    composed = [AddedToken("o\u0308\u0323", normalized=True)]
    added = runs + stripping + composed
    return train(ByteLevel(add_prefix_space=False), normalizers.NFC(), added)


def deepseek():
    steps = [Split(Regex(r"\p{N}{1,3}"), "isolated"), Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated")]
    steps += [Split("**", "isolated"), Digits(individual_digits=False)]
    return train(Sequence([*steps, ByteLevel(add_prefix_space=False, use_regex=True)]))


def grouped_digits():
    """Cuts numbers into groups of three from their end, by matches of nothing."""
    groups = Split(Regex(r"(?=(?:\d{3})+(?!\d))"), "isolated")
    return train(Sequence([groups, ByteLevel(add_prefix_space=False, use_regex=False)]))


def incomplete():
    """Trained without the alphabet of all bytes: what it never saw is left out."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=200, show_progress=False)
    tokenizer.train_from_iterator([TEXTS["prose"]], trainer)
    return json.loads(tokenizer.to_str())


@functools.cache
def pairs_in_texts():
    """Any two bytes side by side in a text, as byte-level letters, whatever its normal form."""
    letters_of = ByteLevel(add_prefix_space=True, use_regex=False)
    pairs = set()
    for text in [*TEXTS.values(), *random_texts(300)]:
        for form in (text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD"))):
            for letters, _ in letters_of.pre_tokenize_str(form):
                pairs.update(zip(letters, letters[1:]))
    return sorted(map(list, pairs))


def with_all_pairs(root):
    """The same words, where any two bytes side by side merge: shows every end of a word."""
    letters = ByteLevel.alphabet()
    added = [token["content"] for token in root["added_tokens"]]
    pairs = pairs_in_texts()
    pieces = [*added, *letters, *map("".join, pairs)]
    model = {"type": "BPE", "merges": pairs, "vocab": {p: i for i, p in enumerate(pieces)}}
    tokens = [{**token, "id": index} for index, token in enumerate(root["added_tokens"])]
    return {**root, "model": model, "added_tokens": tokens}


def by_characters(normalizer, pre_tokenizer, decoder):
    """What is saved for models that come from SentencePiece: characters, and bytes for the rest."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
    )
    tokenizer.train_from_iterator([text.replace(" ", "▁") for text in corpus()[:60]], trainer)
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True, normalized=True)])
    tokenizer.add_special_tokens([END, "<|im_start|>", "<|im_end|>"])
    root = json.loads(tokenizer.to_str())
    added = root["added_tokens"]
    root["added_tokens"] = [token for token in added if not token["content"].startswith("<0x")]
    return root


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
TO_SPACE = decoders.Replace("▁", " ")
LLAMA2_DECODER = decoders.Sequence([TO_SPACE, decoders.ByteFallback(), decoders.Fuse()])
TO_MARK = normalizers.Replace(" ", "▁")


class HfTokenizers(unittest.TestCase):
    tool = ""

    long_texts = []  # of several blocks

    def check(self, root):
        self.check_model(root)
        self.check_model(with_all_pairs(root))

    def check_refused(self, root, reason):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "tokenizer.json").write_text(json.dumps(root), encoding="utf-8")
            (folder / "text").write_text(TEXTS["prose"])
            command = [self.tool, "hf", str(folder / "tokenizer.json"), str(folder / "text")]
            run = subprocess.run(command, capture_output=True, text=True)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn(reason, run.stderr)

    def check_model(self, root, drawn=300):
        theirs = Tokenizer.from_str(json.dumps(root))
        texts = [*TEXTS.values(), *random_texts(drawn), *self.long_texts]
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "tokenizer.json").write_text(json.dumps(root), encoding="utf-8")
            files = [folder / str(index) for index in range(len(texts))]
            for file, text in zip(files, texts):
                file.write_bytes(text.encode())
            command = [self.tool, "hf", str(folder / "tokenizer.json"), *map(str, files)]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        lines = lines.splitlines()
        self.assertEqual(len(lines), len(texts))
        for text, line in zip(texts, lines):
            ids, decoded = line.split("\t")
            expected = theirs.encode(text, add_special_tokens=False).ids
            self.assertEqual([int(word) for word in ids.split()], expected, ascii(text))
            readable = theirs.decode(expected, skip_special_tokens=False)
            ours = bytes.fromhex(decoded).decode("utf-8", errors="replace")
            if not readable.startswith(" ") and ours.startswith(" "):
                ours = ours[1:]  # some decoders strip the space that was put in front
            self.assertEqual(ours, readable, ascii(text))

    def test_in_the_style_of_gpt2(self):
        self.check(gpt2())

    def test_in_the_style_of_smollm2(self):
        self.check(smollm2())

    def test_in_the_style_of_llama3(self):
        self.check(llama3())

    def test_in_the_style_of_qwen2(self):
        self.check(qwen2())

    def test_in_the_style_of_pythia(self):
        self.check(pythia())

    def test_in_the_style_of_deepseek(self):
        self.check(deepseek())

    def test_with_no_normalizer_in_a_sequence(self):
        root = deepseek()
        root["normalizer"] = {"type": "Sequence", "normalizers": []}
        self.check(root)

    def test_in_the_style_of_phi4(self):
        words = Split(Regex(LLAMA3), "removed", invert=True)
        self.check(train(Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])))

    def test_with_every_pattern(self):
        root = with_all_pairs(gpt2())
        for pattern in PATTERNS:
            with self.subTest(pattern):
                root["pre_tokenizer"] = {
                    "type": "Sequence",
                    "pretokenizers": [
                        {
                            "type": "Split",
                            "pattern": {"Regex": pattern},
                            "behavior": "Isolated",
                            "invert": False,
                        },
                        BYTES,
                    ],
                }
                self.check_model(root, drawn=60)

    def test_with_every_behavior(self):
        root = with_all_pairs(gpt2())
        kinds = ["Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"]
        for behavior in kinds:
            for pattern in [{"Regex": r"\s"}, {"Regex": r"e|\b"}, {"String": "the"}]:
                for invert in (False, True):
                    split = {"type": "Split", "pattern": pattern, "behavior": behavior}
                    steps = [{**split, "invert": invert}, BYTES]
                    root["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
                    empty = behavior.startswith("Merged") and pattern == {"Regex": r"e|\b"}
                    with self.subTest(split, invert=invert):
                        if empty:
                            self.check_refused(root, "matches between letters")
                        else:
                            self.check_model(root, drawn=60)

    def test_refuses_classes_that_change_with_the_library(self):
        root = with_all_pairs(gpt2())
        for pattern in (r"[[:alpha:]]+", r"[^[:punct:]]", r"\p{Alpha}+", r"\P{^Lower}"):
            split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
                     "invert": False}
            root["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, BYTES]}
            with self.subTest(pattern):
                self.check_refused(root, "holds other letters in other versions")

    def test_in_the_style_of_llama2(self):
        normalizer = normalizers.Sequence([normalizers.Prepend("▁"), TO_MARK])
        self.check_model(by_characters(normalizer, None, LLAMA2_DECODER))

    def test_in_the_style_of_mistral(self):
        for scheme in ("first", "always", "never"):
            for split in (False, True):
                with self.subTest(scheme, split=split):
                    front = Metaspace("▁", prepend_scheme=scheme, split=split)
                    self.check_model(by_characters(None, front, LLAMA2_DECODER))

    def test_in_the_style_of_gemma(self):
        words = Split(" ", "merged_with_previous")
        self.check_model(by_characters(TO_MARK, words, LLAMA2_DECODER))

    def test_long_texts_of_characters(self):
        normalizer = normalizers.Sequence([normalizers.Prepend("▁"), TO_MARK])
        roots = [
            by_characters(normalizer, None, LLAMA2_DECODER),
            by_characters(None, Metaspace("▁", prepend_scheme="first", split=False), LLAMA2_DECODER),
            train(split_by(KIMI)),
        ]
        self.long_texts = [
            "the cat sat\n" * 12000,
            TEXTS["scripts"].replace(" ", "") * 1500,
            "".join(random_texts(2000)),
            (TEXTS["code"] + TEXTS["prose"]) * 500,
        ]
        for root in roots:
            self.check_model(root)

    def test_with_fused_unknown_bytes(self):
        root = incomplete()
        root["model"]["vocab"]["<unk>"] = len(root["model"]["vocab"])
        root["model"].update(unk_token="<unk>", fuse_unk=True)
        self.check_model(root)

    def test_with_cuts_between_characters(self):
        self.check(grouped_digits())

    def test_with_bytes_that_have_no_piece(self):
        self.check_model(incomplete())

    def test_with_an_unknown_token(self):
        root = incomplete()
        root["model"]["vocab"]["<unk>"] = len(root["model"]["vocab"])
        root["model"]["unk_token"] = "<unk>"
        self.check_model(root)


if __name__ == "__main__":
    HfTokenizers.tool = sys.argv.pop(1)
    unittest.main()
