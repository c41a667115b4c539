"""Joey in another engine: python3 peer.py WALLABY MODEL COMMAND...

COMMAND is the other engine's, with {model}, {out} and {tokens} where the model file, the file for its logits (little-endian
float32 [n_tokens][n_vocab]) and the comma-separated token ids go. For each prompt, wallaby's greedy text is given to both
engines; prints |a - b| / |b| over all logits, the largest difference of two logits, and the positions at which the other engine
prefers another token, with the gap there between its best and ours. Exit code 1 when |a - b| / |b| is above what rounding the
inputs of matmuls to 8 bits explains; in exact arithmetic the greedy texts then part only where two logits nearly tie.
"""

import array
import math
import subprocess
import sys
import tempfile

PROMPTS = ("Once upon a time", "One rainy day, Pip", "Long ago, a shy mole named Ivy", "<|im_start|>user\nWhat is the KV "
           "cache?<|im_end|>\n<|im_start|>assistant\n")
BOUND = 3e-2
N_GREEDY = 160
EOS = 2


def output_of(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


def rows(path, n):
    values = array.array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    width = len(values) // n
    return [values[i * width:(i + 1) * width] for i in range(n)]


def main():
    wallaby, model, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = f"{folder}/ours", f"{folder}/theirs"
        caches = ("--ctk", "f32", "--ctv", "f32")
        for prompt in PROMPTS:
            given = output_of(wallaby, "tokenize", "-m", model, prompt).split()
            greedy = output_of(wallaby, "logits", "-m", model, "--tokens", ",".join(given), "--greedy", N_GREEDY,
                               "--out", ours, *caches).split()
            greedy = greedy[:greedy.index(str(EOS))] if str(EOS) in greedy else greedy
            ids = ",".join(given + greedy)
            output_of(wallaby, "logits", "-m", model, "--tokens", ids, "--out", ours, *caches)
            output_of(*(part.format(model=model, out=theirs, tokens=ids) for part in command))
            n = len(given) + len(greedy)
            a, b = rows(ours, n), rows(theirs, n)
            if any(not math.isfinite(x) for row in b for x in row) or len(a[0]) != len(b[0]):
                raise SystemExit(f"{prompt!r}: the other engine's logits are not finite, or not as many as ours")
            distance = math.sqrt(sum((x - y) ** 2 for p, q in zip(a, b) for x, y in zip(p, q)))
            length = math.sqrt(sum(y * y for q in b for y in q))
            largest = [max(abs(x - y) for x, y in zip(p, q)) for p, q in zip(a, b)]
            failed |= not distance <= BOUND * length
            print(f"{prompt!r}: {len(greedy)} tokens, |a - b| / |b| = {distance / length:.2g}, largest difference "
                  f"{max(largest):.2g}")
            for at in range(len(given) - 1, n):
                best = max(range(len(b[at])), key=b[at].__getitem__)
                mine = max(range(len(a[at])), key=a[at].__getitem__)
                if best != mine:
                    gap = b[at][best] - b[at][mine]
                    print(f"  position {at}: the gap between its best and ours is {gap:.2g}, the largest difference there "
                          f"{largest[at]:.2g}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
