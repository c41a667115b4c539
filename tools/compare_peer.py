#!/usr/bin/env python3
"""Compares this engine's logits with another engine's on synthetic models of every weight type.

Usage: compare_peer.py [--wallaby PATH] [--shape tiny-dense] [--types A,B] [--tokens N] [--keep DIR] COMMAND...

COMMAND is the other engine's, with {model}, {out} and {tokens} where the model file, the file for its logits
(little-endian float32 [n_tokens][n_vocab]) and the comma-separated token ids go. For each type a model is written with
`wallaby synth`, both engines score the same tokens, and |a - b| / |b| is printed: over all logits, and of the token where
it is least. Exit code 1 when the other engine failed on a type, or when the latter is above what its arithmetic explains
(BOUNDS): a rounded activation can send a token to other experts, whose answer is another and is seen by every token
after it; an error in the arithmetic is in every token.
"""
import argparse
import array
import math
import os
import subprocess
import sys
import tempfile

# llama.cpp rounds a matmul's input to 8 bits (a scale per 32 or 256 values) for every quantised weight, and to the
# weight's own type for F16 and BF16; we keep float32. docs/verification.md derives the bounds.
# F32 is exact but for GELU, which it reads from a table of float16. Rounding adds up over layers: tiny models have 3.
BOUNDS = {"F32": 1e-4, "F16": 2e-3, "BF16": 1e-2}
QUANTISED_BOUND = 3e-2
DEEP = 2  # times the bounds, for models of real depth


def read_floats(path):
    values = array.array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return values


def relative_error(a, b):
    if len(a) != len(b) or not b:
        return math.inf
    difference = math.fsum((x - y) ** 2 for x, y in zip(a, b))
    norm = math.fsum(y * y for y in b)
    error = math.sqrt(difference / norm) if norm > 0 else math.inf
    return error if error == error else math.inf


def best_token(a, b, n_vocab):
    return min(relative_error(a[i:i + n_vocab], b[i:i + n_vocab]) for i in range(0, len(b), n_vocab))


def argmax_agreement(a, b, n_vocab):
    same = total = 0
    for i in range(0, len(b), n_vocab):
        row_a, row_b = a[i:i + n_vocab], b[i:i + n_vocab]
        same += max(range(n_vocab), key=row_a.__getitem__) == max(range(n_vocab), key=row_b.__getitem__)
        total += 1
    return f"{same}/{total}"


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def types_of(wallaby):
    listing = subprocess.run([wallaby, "synth", "--list"], capture_output=True, text=True, check=True).stdout
    return listing.split("types:")[1].split()


def compare(arguments, folder, weight_type):
    """The best token's and the overall figure of one type, or why there are none."""
    model = os.path.join(folder, f"{arguments.shape}-{weight_type}.gguf")
    ours, theirs = model + ".ours", model + ".theirs"
    tokens = ",".join(str((1 + 7919 * i) % 509) for i in range(arguments.tokens))
    problem = run([arguments.wallaby, "synth", arguments.shape, model, "--type", weight_type])
    problem = problem or run([arguments.wallaby, "logits", "-m", model, "--tokens", tokens, "--out", ours])
    if problem:
        return math.inf, math.inf, f"ours: {problem}"
    problem = run([part.format(model=model, out=theirs, tokens=tokens) for part in arguments.command])
    if problem:
        return math.inf, math.inf, f"theirs: {problem}"
    a, b = read_floats(ours), read_floats(theirs)
    if not arguments.keep:
        for path in (model, ours, theirs):
            os.remove(path)
    n_vocab = len(b) // arguments.tokens
    if len(a) != len(b) or n_vocab == 0:
        return math.inf, math.inf, f"{len(a)} logits against {len(b)}"
    return best_token(a, b, n_vocab), relative_error(a, b), f"same argmax {argmax_agreement(a, b, n_vocab)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--wallaby", default=os.path.join(root, "build", "release", "wallaby"))
    parser.add_argument("--shape", default="tiny-dense")
    parser.add_argument("--types", help="default: all that `wallaby synth --list` names")
    parser.add_argument("--tokens", type=int, default=70)
    parser.add_argument("--keep", metavar="DIR", help="leave the files there")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if arguments.command[:1] == ["--"]:
        arguments.command = arguments.command[1:]
    if not arguments.command:
        parser.error("the other engine's command is missing")
    types = arguments.types.split(",") if arguments.types else types_of(arguments.wallaby)
    n_bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        for weight_type in types:
            best, error, note = compare(arguments, arguments.keep or temporary, weight_type)
            bound = BOUNDS.get(weight_type, QUANTISED_BOUND) * (1 if arguments.shape.startswith("tiny-") else DEEP)
            is_bad = not best <= bound
            n_bad += is_bad
            print(f"{weight_type:8} best token {best:.2e}  all {error:.2e}  {note}{'  TOO LARGE' if is_bad else ''}", flush=True)
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
