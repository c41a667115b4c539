#!/usr/bin/env python3
"""What a kernel's innermost loop costs on processors that are not at hand: instructions, and llvm-mca's cycles.

Usage: kernel_loops.py OBJECT [CPU...]       CPUs of llvm-mca; default: those that fit the object's instruction set

OBJECT is a kernel unit compiled for 64-bit ARM (build/aarch64/src/CMakeFiles/wallaby_kernels.dir/kernels/isa/<name>.cpp.o). For each
format of a few and for one column (decode) and four (prompts), the innermost loop with the most vector instructions is taken
from the disassembly. Figures are per weight and column: a loop's iteration covers 16 rows times some k. llvm-mca knows ports and
latencies, and takes every load from the first-level cache.
"""
import re
import subprocess
import sys

# Demangled name, weights of one iteration times columns.
KERNELS = [
    ("Q4_0 decode", r"multiply_group<.*\bFlat<.*Q4_0, 1>", 16 * 32),
    ("Q8_0 decode", r"multiply_group<.*\bFlat<.*Q8_0, 1>", 16 * 32),
    ("Q4_K decode", r"multiply_group<.*NestedSums<.*Q4_K, 1>", 16 * 64),
    ("Q6_K decode", r"multiply_group<.*NestedSums<.*Q6_K, 1>", 16 * 64),
    ("Q4_0 prompt", r"multiply_slice<.*FlatWide<.*FlatPanel<32, 8, \d+, false, true>, 4>", 16 * 32 * 4),
    ("Q8_0 prompt", r"multiply_slice<.*FlatWide<.*FlatPanel<32, 128, \d+, false, true>, 4>", 16 * 32 * 4),
    ("Q4_K prompt", r"multiply_slice<.*NestedWide<.*NestedPanel<32, (?:15|31|127|255), true>, 4>", 16 * 128 * 4),
]
CPUS = {"neon": ["cortex-a53", "cortex-a72"], "dotprod": ["cortex-a55", "cortex-a76", "apple-m1"], "i8mm": ["apple-m1", "neoverse-v1"]}


def functions(path):
    """Of each function: name, and a list of (address, instruction)."""
    text = subprocess.run(["llvm-objdump", "-d", "--no-show-raw-insn", "-C", path], check=True, capture_output=True, text=True).stdout
    found, body = {}, []
    for line in text.splitlines():
        if match := re.match(r"^[0-9a-f]+ <(.*)>:$", line):
            body = found.setdefault(match[1], [])
        elif match := re.match(r"^\s*([0-9a-f]+):\s+(.*)$", line):
            body.append((int(match[1], 16), match[2].split(" <")[0].strip()))
    return found


def innermost_loops(body):
    """Instructions between a jump back and its target, where no other jump back lies between."""
    back = []
    for i, (address, instruction) in enumerate(body):
        match = re.match(r"(?:b\.\w+|cbn?z\s.*,|tbn?z\s.*,|b)\s+.*?0x([0-9a-f]+)$", instruction)
        if match and int(match[1], 16) <= address:
            start = next((j for j, (a, _) in enumerate(body) if a == int(match[1], 16)), None)
            if start is not None:
                back.append((start, i))
    return [body[s:e + 1] for s, e in back if not any(s <= s2 and e2 < e or s < s2 and e2 <= e for s2, e2 in back)]


def is_vector(instruction):
    return re.search(r"\bv\d+\.|\bq\d+\b", instruction) is not None


def cycles(loop, cpu):
    """llvm-mca's cycles per iteration; None where it does not know the processor."""
    code = []
    for _, instruction in loop:
        name = instruction.split()[0]
        if name.startswith("b") and (name == "b" or name.startswith("b.")) or name in ("cbz", "cbnz", "tbz", "tbnz", "adrp"):
            continue  # targets are elsewhere; predicted
        code.append(instruction.split("//")[0].strip())
    run = subprocess.run(["llvm-mca", "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm", "-iterations=200"],
                         input="\n".join(code), capture_output=True, text=True, check=False)
    match = re.search(r"Total Cycles:\s+(\d+)", run.stdout)
    return int(match[1]) / 200 if match else None


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    found = functions(sys.argv[1])
    isa = re.sub(r"\..*", "", sys.argv[1].rsplit("/", 1)[-1])
    cpus = sys.argv[2:] or CPUS.get(isa, ["cortex-a76"])
    print(f"{isa}: per weight and column | instructions | vector | " + " | ".join(f"cycles {c}" for c in cpus))
    for label, pattern, weights in KERNELS:
        for name, body in found.items():
            if not re.search(pattern, name):
                continue
            loops = innermost_loops(body)
            if not loops:
                continue
            loop = max(loops, key=lambda l: sum(is_vector(i) for _, i in l))
            row = [f"{len(loop) / weights:.4f}", f"{sum(is_vector(i) for _, i in loop) / weights:.4f}"]
            for cpu in cpus:
                n = cycles(loop, cpu)
                row.append("-" if n is None else f"{n / weights:.4f}")
            print(f"{label:12} | " + " | ".join(row) + f"   ({len(loop)} instructions in the loop)")


main()
