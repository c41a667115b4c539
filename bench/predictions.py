#!/usr/bin/env python3
"""Predicted beside measured speed of synthetic models on this machine: the table of docs/arithmetic.md.

    bench/predictions.py build/release/wallaby PREDICTIONS.jsonl [MODEL:TYPE ...]

For each model `wallaby plan` predicts a prompt of 512 tokens and decode after it, from what `wallaby probe` measured and
the rates of the last minutes, and that goes to the file (flushed to the disk) before `wallaby bench` measures both. Then all
are measured a second time: how far the two measurements of a model lie apart says how far a prediction could be right.
Measured is the median of both times' repetitions. Nothing is fitted to these models. Run it on an idle machine: about half an
hour, 10 GB of memory.
"""
import json
import os
import statistics
import subprocess
import sys

MODELS = ["qwen2.5-0.5b:Q8_0", "qwen3-0.6b:Q6_K", "gemma-3-1b:Q4_0", "tinyllama-1.1b:Q4_0", "tinyllama-1.1b:F16",
          "llama-3.2-1b:Q4_K_M", "gemma-2-2b:Q5_K_M", "llama-3.2-3b:Q6_K", "phi-3-mini:Q4_K_M", "moe-7b-a1b:Q4_0",
          "moe-7b-a1b:Q4_K_M", "llama-3.1-8b:Q4_K_M"]
N_PROMPT, N_GEN, N_REPETITIONS = 512, 48, 4
PHASES = ("prompt", "decode")


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def predict(wallaby, shape, weights):
    plan = run(wallaby, "plan", shape, "--type", weights, "-p", str(N_PROMPT), "-c", str(N_PROMPT + N_GEN), "-o", "json")[0]
    return {"model": f"{shape}:{weights}", "prompt": plan["prompt"], "decode": plan["decode"]}


def measure(wallaby, model):
    """Tokens a second of each repetition, by phase."""
    tests = (["-p", str(N_PROMPT), "-n", "0"], ["-p", "0", "-n", str(N_GEN), "-d", str(N_PROMPT)])
    found = {phase: run(wallaby, "bench", "--synthetic", model, *test, "-r", str(N_REPETITIONS), "--no-probe", "-o",
                        "json")[0]["samples_ts"] for phase, test in zip(PHASES, tests)}
    print(model, found, file=sys.stderr, flush=True)
    return found


def main():
    wallaby, path, models = sys.argv[1], sys.argv[2], sys.argv[3:] or MODELS
    predicted, measured = {}, {model: [] for model in models}
    subprocess.run([wallaby, "probe"], stdout=sys.stderr, check=True)
    with open(path, "w", encoding="utf-8") as file:
        for model in models:
            predicted[model] = predict(wallaby, *model.split(":"))
            file.write(json.dumps(predicted[model]) + "\n")
            file.flush()
            os.fsync(file.fileno())
            measured[model].append(measure(wallaby, model))
    for model in models:
        measured[model].append(measure(wallaby, model))
    off = {"prompt": [], "decode": [], "prompt again": [], "decode again": []}
    print("| model " + "".join(f"| {p}: predicted | measured | off by | second by first time " for p in PHASES) + "|")
    print("|---|" + "--:|" * 8)
    for model in models:
        cells = [model.replace(":", " ")]
        for phase in PHASES:
            first, second = (m[phase] for m in measured[model])
            speed, found = predicted[model][phase]["tokens_per_s"], statistics.median(first + second)
            again = statistics.median(second) / statistics.median(first) - 1
            off[phase].append(found / speed - 1)
            off[phase + " again"].append(again)
            cells += [f"{speed:.4g}", f"{found:.4g}", f"{100 * off[phase][-1]:+.1f} %", f"{100 * again:+.1f} %"]
        print("| " + " | ".join(cells) + " |")
    for name, values in off.items():
        sizes = sorted(abs(v) for v in values)
        print(f"{name}: off by {100 * statistics.median(sizes):.1f} % in the median, {100 * sizes[-1]:.1f} % at most")


if __name__ == "__main__":
    main()
