"""Joey's tokenizer: byte-pair merges over words, in the form GGUF files call `llama` (SentencePiece's BPE).

A space is written U+2581 and belongs to the word after it. A piece never crosses the border of a word, a digit or a
mark, so encoding word by word gives what merging over a whole text gives. What no piece covers is spelled in bytes.
"""

import re
from collections import Counter, defaultdict

SPACE = "\u2581"
UNKNOWN, BOS, EOS = 0, 1, 2
CONTROLS = ("<|im_start|>", "<|im_end|>")  # ChatML
N_BYTES = 256
FIRST_BYTE = 3
IM_START, IM_END = FIRST_BYTE + N_BYTES, FIRST_BYTE + N_BYTES + 1
FIRST_PIECE = FIRST_BYTE + N_BYTES + len(CONTROLS)

# The types of tokens, as in GGUF's tokenizer.ggml.token_type.
NORMAL, UNKNOWN_TYPE, CONTROL, BYTE = 1, 2, 3, 6

WORD = re.compile(rf"{SPACE}?[A-Za-z]+(?:'[a-z]+)?|{SPACE}?\"|.", re.DOTALL)


def words(text):
    return WORD.findall(text.replace(" ", SPACE))


def merge(symbols, pair):
    out, at = [], 0
    while at < len(symbols):
        if at + 1 < len(symbols) and (symbols[at], symbols[at + 1]) == pair:
            out.append(symbols[at] + symbols[at + 1])
            at += 2
        else:
            out.append(symbols[at])
            at += 1
    return tuple(out)


def train(texts, n_vocab):
    """-> pieces, best first: every character of `texts` (they must be printable), then the most frequent merges.

    Ties go to the pair that sorts first, so that the same texts give the same pieces.
    """
    counts = Counter(word for text in texts for word in words(text))
    spelled = {word: tuple(word) for word in counts if word != "\n"}
    letters = sorted({letter for word in spelled for letter in word})

    pairs = Counter()
    where = defaultdict(set)
    for word, symbols in spelled.items():
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += counts[word]
            where[pair].add(word)

    merges = []
    while len(merges) < n_vocab - FIRST_PIECE - len(letters):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            raise SystemExit(f"tokenizer: only {len(merges)} merges in this text; ask for fewer pieces")
        merges.append(best[0] + best[1])
        for word in list(where[best]):
            before, after = spelled[word], merge(spelled[word], best)
            for pair in zip(before, before[1:]):
                pairs[pair] -= counts[word]
                where[pair].discard(word)
                if pairs[pair] <= 0:
                    del pairs[pair]
            for pair in zip(after, after[1:]):
                pairs[pair] += counts[word]
                where[pair].add(word)
            spelled[word] = after
    if len(set(merges)) != len(merges):
        raise SystemExit("tokenizer: two merges spell the same piece, and a vocabulary can hold it once")
    return merges + letters


class Tokenizer:
    """pieces: as `train` gives them; the first merge is preferred"""

    def __init__(self, pieces):
        self.pieces = list(pieces)
        self.ids = {piece: FIRST_PIECE + index for index, piece in enumerate(self.pieces)}
        self.cache = {}

    def __len__(self):
        return FIRST_PIECE + len(self.pieces)

    def encode(self, text):
        out = []
        for word in words(text):
            ids = self.cache.get(word)
            if ids is None:
                ids = self.cache[word] = self._encode_word(word)
            out += ids
        return out

    def _encode_word(self, word):
        symbols = tuple(word)
        while True:
            known = [pair for pair in zip(symbols, symbols[1:]) if pair[0] + pair[1] in self.ids]
            if not known:
                break
            symbols = self._merge_first(symbols, min(known, key=lambda pair: self.ids[pair[0] + pair[1]]))
        ids = []
        for symbol in symbols:
            if symbol in self.ids:
                ids.append(self.ids[symbol])
            else:
                ids += [FIRST_BYTE + byte for byte in symbol.replace(SPACE, " ").encode()]
        return ids

    @staticmethod
    def _merge_first(symbols, pair):
        at = next(i for i in range(len(symbols) - 1) if (symbols[i], symbols[i + 1]) == pair)
        return symbols[:at] + (pair[0] + pair[1],) + symbols[at + 2:]

    def n_characters(self, id):
        """How many characters of an ASCII text a token stands for."""
        return len(self.pieces[id - FIRST_PIECE]) if id >= FIRST_PIECE else 1

    def table(self):
        """-> (texts, scores, types) of all tokens in the order of their ids, for a GGUF file"""
        texts = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(N_BYTES)] + list(CONTROLS) + self.pieces
        types = ([UNKNOWN_TYPE, CONTROL, CONTROL] + [BYTE] * N_BYTES + [CONTROL] * len(CONTROLS)
                 + [NORMAL] * len(self.pieces))
        scores = [0.0] * FIRST_PIECE + [-float(index) for index in range(len(self.pieces))]
        return texts, scores, types
