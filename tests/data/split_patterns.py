"""Regular expressions that tokenizers split text with, from published models and of our own."""

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LETTERS = r"\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]"
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
KIMI = "|".join(
    [
        r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}{LETTERS}]*[\p{{Ll}}{LETTERS}]+{CONTRACTION}",
        rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}{LETTERS}]+[\p{{Ll}}{LETTERS}]*{CONTRACTION}",
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ]
)
DEEPSEEK_V3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = [
    KIMI,
    KIMI.replace("&&[^\\p{Han}]", ""),
    DEEPSEEK_V3,
    r"[a-z&&[^n]]+",
    r"[\w&&[^\d]]+",
    r"[[a-c]x[^\s\w]]+",
    r"^\w",
    r"\w$",
    r"^.",
    r"\A.|.\z",
    r"\h+",
    r"\H+",
    r"(?i:ss)",
    r"(?i:ﬁ|ß|k)",
    r"(?i)THE|don't",
    r"(?i:'(?:[sdmt]|ll|ve|re))",
    r"(?m:e.\w)",
    r"\R",
    r"\X",
    r"\bth",
    r"\w+|\W",
    r"\d+",
    r"\p{Han}+|\p{Hiragana}+",
    r"(?<=e)\s",
    r"(?<!e)\s+",
    r"(?>a+)b|c",
    r"\s{2}+",
    r"\s{,2}x",
    r"\s{2}?",
    r"[^\S\n]+",
    r"(?<word>\w)\k<word>",
    r"(.)\1",
    r"\x{62}|\x63",
    r"a++|b*?c|d?+e",
    r"(?=(?:\d{3})+(?!\d))",
    r"",
]
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
