#!/usr/bin/env python3
"""What an importance matrix is worth: KL divergence of joey's quantised twins, with and without one. docs/quantising.md.

    bench/importance.py build/release/wallaby [N_TWINS=24 [TYPE ...]]

One quantised model is one throw of dice: which weights share a block is chance, and the KL of a small model moves by a
third with it. So joey is measured as many twins: the numbers of the residual stream, and the units of each feed-forward
layer, in another order. That is the same function (the KL between twins in F32 is 1e-11), and other blocks. Each twin has
an importance matrix of its own, from 80 chunks of 256 tokens of joey's stories; the KL is from joey in F32, float32 cache,
on 80 chunks of other stories. Printed: the mean over the twins of the mean KL and of the share of equal first choices, and
by how much importance changes the KL (geometric mean of the twins' quotients), each with its standard error. Twenty minutes on two cores.
"""
import json
import math
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools" / "joey"))
import corpus  # noqa: E402

TYPES = ("Q2_K", "Q3_K", "Q4_0", "Q4_K", "Q5_K", "Q6_K")
N_CHUNKS = 80
CALIBRATION_SEED, TEXT_SEED = 77_000, 77_001
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of metadata types, in bytes
# What is put in another order: columns are a row's numbers, rows the matrix's outputs.
STREAM_COLUMNS = {"token_embd", "output_norm", "attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"}
STREAM_ROWS = {"attn_output", "ffn_down"}
UNIT_COLUMNS, UNIT_ROWS = {"ffn_down"}, {"ffn_gate", "ffn_up"}


class Gguf:
    """A file whose tensors are all F32 (GGUF version 3, alignment 32)."""

    def __init__(self, path):
        self.bytes = bytearray(path.read_bytes())
        self.at = 8
        n_tensors, n_keys = self.take("<QQ")
        for _ in range(n_keys):
            self.text()
            self.skip(self.take("<I")[0])
        self.tensors = {}
        for _ in range(n_tensors):
            name = self.text()
            dims = self.take(f"<{self.take('<I')[0]}Q")
            kind, offset = self.take("<IQ")
            assert kind == 0, f"{name} is not F32"
            self.tensors[name] = (dims, offset)
        self.data = (self.at + 31) // 32 * 32

    def take(self, form):
        values = struct.unpack_from(form, self.bytes, self.at)
        self.at += struct.calcsize(form)
        return values

    def text(self):
        length, = self.take("<Q")
        self.at += length
        return self.bytes[self.at - length:self.at].decode(errors="replace")

    def skip(self, kind):
        if kind == 8:
            self.text()
        elif kind == 9:
            inner, length = self.take("<IQ")
            for _ in range(length):
                self.skip(inner)
        else:
            self.at += SIZES[kind]

    def reorder(self, name, columns, rows):
        dims, offset = self.tensors[name]
        width, n_rows = dims[0], math.prod(dims[1:])
        at = self.data + offset
        numbers = memoryview(bytes(self.bytes[at:at + 4 * width * n_rows])).cast("f").tolist()
        out = []
        for row in rows or range(n_rows):
            first = row * width
            out += (numbers[first + column] for column in columns or range(width))
        struct.pack_into(f"<{len(out)}f", self.bytes, at, *out)


def write_twin(source, path, seed):
    file = Gguf(source)

    def order(width, *which):
        shuffled = list(range(width))
        random.Random(f"{seed} {which}").shuffle(shuffled)
        return shuffled

    stream = order(file.tensors["token_embd.weight"][0][0], "stream")
    for name in file.tensors:
        *layer, kind, _ = name.split(".")
        columns = rows = None
        if kind in UNIT_COLUMNS | UNIT_ROWS:
            units = order(file.tensors[".".join([*layer, "ffn_down.weight"])][0][0], layer)
            columns, rows = (units, None) if kind in UNIT_COLUMNS else (None, units)
        columns = stream if kind in STREAM_COLUMNS else columns
        rows = stream if kind in STREAM_ROWS else rows
        file.reorder(name, columns, rows)
    path.write_bytes(file.bytes)


def error(values):
    return statistics.stdev(values) / math.sqrt(len(values))


def main():
    wallaby = sys.argv[1]
    n_twins, types = int(sys.argv[2]) if len(sys.argv) > 2 else 24, sys.argv[3:] or TYPES

    def run(*words):
        return subprocess.run([wallaby, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout

    found = {kind: [] for kind in types}  # of each twin ((KL, share) without, (KL, share) with)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        wide, twin, imatrix, small, base = (folder / part for part in ("wide.gguf", "twin", "imatrix", "small", "base"))
        for seed in (CALIBRATION_SEED, TEXT_SEED):
            (folder / str(seed)).write_text("\n\n".join(corpus.stories(seed, 200)), encoding="utf-8")
        run("quantize", "joey", wide, "F32")
        run("eval", "kl", "-m", wide, "-f", folder / str(TEXT_SEED), "-c", 256, "--chunks", N_CHUNKS, "--ctk", "f32", "--ctv",
            "f32", "--save-base", base)

        def measure():
            kl = json.loads(run("eval", "kl", "-m", small, "--base", base, "--ctk", "f32", "--ctv", "f32", "-o", "json"))[0]
            return kl["kld"]["mean"]["value"], kl["same_top"]["value"]

        for seed in range(1, n_twins + 1):
            write_twin(wide, twin, seed)
            run("imatrix", "-m", twin, "-f", folder / str(CALIBRATION_SEED), "-c", 256, "--chunks", N_CHUNKS, "-o", imatrix,
                "--no-ppl")
            for kind in types:
                pair = []
                for more in ((), ("--imatrix", imatrix)):
                    run("quantize", twin, small, kind, "--pure", *more)
                    pair.append(measure())
                found[kind].append(pair)
                print(seed, kind, *(f"{kl:.7f} {share:.4f}" for kl, share in pair), file=sys.stderr, flush=True)
    print(f"| {n_twins} twins | mean KL without | with | changes by | same top, without | with |\n|---|--:|--:|--:|--:|--:|")
    for kind, pairs in found.items():
        columns = [[pair[side][what] for pair in pairs] for what in (0, 1) for side in (0, 1)]
        quotients = [math.log(with_it / without) for without, with_it in zip(*columns[:2])]
        kl = (f"{statistics.mean(column):.2g} ± {error(column):.1g}" for column in columns[:2])
        share = (f"{100 * statistics.mean(column):.2f} ± {100 * error(column):.2f} %" for column in columns[2:])
        change = f"{100 * math.expm1(statistics.mean(quotients)):+.1f} ± {100 * error(quotients):.1f} %"
        print("|", " | ".join([kind, *kl, change, *share]), "|")


if __name__ == "__main__":
    main()
