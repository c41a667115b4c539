#!/usr/bin/env python3
"""Predicted beside measured speed of synthetic models on this machine: the table of docs/arithmetic.md.

    bench/predictions.py build/release/wallaby PREDICTIONS.jsonl [MODEL:TYPE ...]

For each model `wallaby plan` predicts a prompt of 512 tokens and decode after it, from what `wallaby probe` measured and
the rates of the moment, and that goes to the file (flushed to the disk) before `wallaby bench` measures both: the median of
seven repetitions. Nothing is fitted to these models. Run it on an idle machine: about 20 minutes, 10 GB of memory.
"""
import json
import os
import statistics
import subprocess
import sys

MODELS = ["qwen2.5-0.5b:Q8_0", "qwen3-0.6b:Q6_K", "gemma-3-1b:Q4_0", "tinyllama-1.1b:Q4_0", "tinyllama-1.1b:F16",
          "llama-3.2-1b:Q4_K_M", "gemma-2-2b:Q5_K_M", "llama-3.2-3b:Q6_K", "phi-3-mini:Q4_K_M", "moe-7b-a1b:Q4_0",
          "moe-7b-a1b:Q4_K_M", "llama-3.1-8b:Q4_K_M"]
N_PROMPT, N_GEN, N_REPETITIONS = 512, 48, 7


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def predict(wallaby, shape, weights):
    plan = run(wallaby, "plan", shape, "--type", weights, "-p", str(N_PROMPT), "-c", str(N_PROMPT + N_GEN), "-o", "json")[0]
    return {"model": f"{shape}:{weights}", "prompt": plan["prompt"], "decode": plan["decode"]}


def measure(wallaby, model):
    rows = []
    for test in (["-p", str(N_PROMPT), "-n", "0"], ["-p", "0", "-n", str(N_GEN), "-d", str(N_PROMPT)]):
        rows += run(wallaby, "bench", "--synthetic", model, *test, "-r", str(N_REPETITIONS), "--no-probe", "-o", "json")
    return [statistics.median(row["samples_ts"]) for row in rows]


def main():
    wallaby, path, models = sys.argv[1], sys.argv[2], sys.argv[3:] or MODELS
    errors = {"prompt": [], "decode": []}
    subprocess.run([wallaby, "probe"], stdout=sys.stderr, check=True)
    with open(path, "w", encoding="utf-8") as file:
        print("| model | prompt: predicted | measured | off by | decode: predicted | measured | off by |\n|---|---|---|---|---|---|---|")
        for model in models:
            predicted = predict(wallaby, *model.split(":"))
            file.write(json.dumps(predicted) + "\n")
            file.flush()
            os.fsync(file.fileno())
            cells = [model.replace(":", " ")]
            for phase, measured in zip(("prompt", "decode"), measure(wallaby, model)):
                speed = predicted[phase]["tokens_per_s"]
                errors[phase].append(abs(measured / speed - 1))
                cells += [f"{speed:.4g}", f"{measured:.4g}", f"{100 * (measured / speed - 1):+.1f} %"]
            print("| " + " | ".join(cells) + " |", flush=True)
    for phase, values in errors.items():
        print(f"{phase}: off by {100 * statistics.median(values):.1f} % in the median, {100 * max(values):.1f} % at most")


if __name__ == "__main__":
    main()
