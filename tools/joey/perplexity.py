"""Joey's perplexity in every weight format: python3 perplexity.py WALLABY joey-f32.gguf FOLDER

Quantises the F32 file with `wallaby quantize --pure` into FOLDER and prints a Markdown table. A story is evaluated as it was
trained on, from <s> to </s>; the perplexity is over all tokens after <s>. Formats that WALLABY cannot write are left out.
"""

import math
import pathlib
import subprocess
import sys
import tempfile

import numpy

import corpus
from tokenizer import BOS, EOS

FORMATS = ("F32", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "Q3_K", "Q2_K")


def output_of(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


def nats(wallaby, model, ids, scratch):
    """-> what the ids after the first cost"""
    output_of(wallaby, "logits", "-m", model, "--tokens", ",".join(map(str, ids[:-1])), "--out", scratch)
    logits = numpy.fromfile(scratch, dtype="<f4").reshape(len(ids) - 1, -1).astype(numpy.float64)
    top = logits.max(axis=1)
    return float(numpy.sum(numpy.log(numpy.exp(logits - top[:, None]).sum(axis=1)) + top
                           - logits[numpy.arange(len(ids) - 1), ids[1:]]))


def main():
    wallaby, source, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    stories = [[BOS] + [int(id) for id in output_of(wallaby, "tokenize", "-m", source, "--no-bos", text).split()] + [EOS]
               for text in corpus.held_out_stories()]
    n_tokens = sum(len(ids) - 1 for ids in stories)
    print(f"{n_tokens} tokens\n\n| format | bytes | perplexity | above F32 |\n|---|---|---|---|")
    base = None
    with tempfile.TemporaryDirectory() as scratch:
        for name in FORMATS:
            file = source if name == "F32" else folder / f"joey-{name}.gguf"
            if file != source:
                quantised = subprocess.run([wallaby, "quantize", source, file, name, "--pure"], capture_output=True, text=True)
                if quantised.returncode != 0:
                    print(f"{name}: {quantised.stderr.strip()}", file=sys.stderr)
                    continue
            perplexity = math.exp(sum(nats(wallaby, file, ids, f"{scratch}/logits") for ids in stories) / n_tokens)
            base = base or perplexity
            print(f"| {name} | {file.stat().st_size:,} | {perplexity:.4f} | {100 * (perplexity / base - 1):.2f} % |", flush=True)


if __name__ == "__main__":
    main()
