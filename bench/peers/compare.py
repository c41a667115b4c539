#!/usr/bin/env python3
"""Speed beside llama.cpp on the same files, interleaved: one Markdown table.

Usage: compare.py [-p 512] [-n 64] [-d 0] [-t 2] [-np 1] [--ctk f16] [--start] [--pairs 10] [--peer FOLDER]
                  MODEL.gguf|NAME:TYPE...

-p 0 or -n 0 leaves prompts or decode out; -np K decodes K sequences together, whose speed is of all. --start measures other
things: seconds from starting the program to the last logits of a prompt of 8 tokens, the file in the page cache, and the
process's peak RSS until then.

NAME:TYPE (tinyllama-1.1b:Q4_0) is written by `wallaby synth` into a temporary folder first. The peer is what
../shared/peers/setup.sh builds into FOLDER (default: a folder beside the build; built when missing; llama.cpp's prebuilt
library from npm). Each pair runs ours, then the peer, so that neighbours' noise meets both; each of ours probes the machine
before and after itself. Figures are medians over the pairs, ratios and shares of the limit medians of each pair's, with
a bootstrap 95 % interval. Run it when nothing else runs.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WALLABY = os.path.join(ROOT, "build", "release", "wallaby")
SHARED = os.path.join(os.path.dirname(ROOT), "shared", "peers")


def peer_command(folder):
    """The peer's program and the folder of its library."""
    program = os.path.join(folder, "llama_cpp_peer")
    if not os.path.exists(program):
        if not os.path.exists(os.path.join(SHARED, "setup.sh")):
            sys.exit("no peer: ../shared/peers is not there; name a folder that its setup.sh has filled with --peer")
        subprocess.run(["bash", os.path.join(SHARED, "setup.sh"), folder], check=True, stdout=sys.stderr)
    library = os.path.join(folder, "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64")
    return [program, "bench", library]


def run_ours(path, args):
    """Speed and share of the limit, by test."""
    command = [WALLABY, "bench", "-m", path, "-p", str(args.p), "-n", str(args.n), "-d", str(args.d), "-t", str(args.t),
               "-np", str(args.np), "-b", "512", "-r", "1", "--ctk", args.ctk, "--ctv", args.ctk, "-o", "json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {("pp" if row["n_gen"] == 0 else "tg"): (row["avg_ts"], row["limit_fraction"]) for row in rows}


def run_peer(command, path, args):
    extra = [str(args.p), str(args.n), str(args.t), "1", str(args.d), str(args.np), args.ctk]
    out = subprocess.run([*command, path, *extra], check=True, capture_output=True, text=True).stdout
    result = json.loads(out.splitlines()[-1])
    return {"pp": result["pp_tps"], "tg": result["tg_tps"]}


def seconds_and_rss(command):
    """Of a program from its start to its end; RSS in MiB."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def compare_starts(name, path, command, args):
    tokens = ",".join(str(100 + i) for i in range(8))
    ours_command = [WALLABY, "logits", "-m", path, "--tokens", tokens, "-c", "64", "-t", str(args.t), "--greedy", "0",
                    "--ctk", args.ctk, "--ctv", args.ctk]
    peer_command = [*command, path, "8", "0", str(args.t), "0"]  # no repetition: only its unmeasured first run
    pairs = [(seconds_and_rss(ours_command), seconds_and_rss(peer_command)) for _ in range(args.pairs)]
    for i, what in enumerate(("first logits, s", "peak RSS, MiB")):
        ours, peers = [pair[0][i] for pair in pairs], [pair[1][i] for pair in pairs]
        ratios = [a / b for a, b in zip(ours, peers)]
        low, high = interval(ratios)
        print(f"| {name} | {what} | {statistics.median(ours):.4g} | {statistics.median(peers):.4g} | "
              f"{statistics.median(ratios):.2f} | {low:.2f}–{high:.2f} |", flush=True)


def compare_speeds(name, path, command, args):
    pairs = [(run_ours(path, args), run_peer(command, path, args)) for _ in range(args.pairs)]
    for test in pairs[0][0]:
        ours = [pair[0][test][0] for pair in pairs]
        shares = [100 * pair[0][test][1] for pair in pairs]
        peers = [pair[1][test] for pair in pairs]
        ratios = [a / b for a, b in zip(ours, peers)]
        low, high = interval(ratios)
        low_share, high_share = interval(shares)
        count = args.p if test == "pp" else args.n
        depth = f" @ {args.d}" if args.d else ""
        together = f", {args.np} together" if args.np > 1 and test == "tg" else ""
        print(f"| {name} | {test}{count}{depth}{together} | {statistics.median(ours):.1f} | "
              f"{statistics.median(shares):.0f} % ({low_share:.0f}–{high_share:.0f}) | {statistics.median(peers):.1f} | "
              f"{statistics.median(ratios):.2f} | {low:.2f}–{high:.2f} |", flush=True)


def interval(values):
    """Bootstrap 95 % interval of the median; the same for the same values."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[1949]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag, default in (("-p", 512), ("-n", 64), ("-d", 0), ("-t", 2), ("-np", 1), ("--pairs", 10)):
        parser.add_argument(flag, type=int, default=default)
    parser.add_argument("--ctk", default="f16")
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--peer", default=os.path.join(ROOT, "build", "peer"))
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    command = peer_command(args.peer)
    limit, rule = ("", "") if args.start else (" of the limit |", "--:|")
    print(f"| model | test | ours |{limit} llama.cpp | ours ÷ llama.cpp | 95 % |\n|---|---|--:|{rule}--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.models:
            path = name
            if not os.path.exists(path):
                shape, _, kind = name.partition(":")
                path = os.path.join(folder, name.replace(":", "-") + ".gguf")
                subprocess.run([WALLABY, "synth", shape, path, "--type", kind], check=True, stderr=subprocess.DEVNULL)
            (compare_starts if args.start else compare_speeds)(name, path, command, args)
            if path != name:
                os.remove(path)


if __name__ == "__main__":
    main()
