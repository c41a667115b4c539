#!/usr/bin/env python3
"""Checks what the kernels' objects show the linker: one unit each, and nothing weak.

Usage: check_kernel_objects.py OBJECT...      objects of src/kernels; those without instruction sets are skipped

A unit that is compiled for one instruction set must not define anything that another unit could end up calling: the
linker keeps one copy of a weak symbol, and if that is the AVX-512 one, older CPUs crash. Exit code 1 and a line for each
offence.
"""
import re
import subprocess
import sys

UNIT = re.compile(r"/isa/[a-z0-9]+\.cpp\.o$")


def check(path):
    """Problems of one object."""
    lines = subprocess.run(["nm", "--demangle", path], check=True, capture_output=True, text=True).stdout.splitlines()
    symbols = [line.split(maxsplit=1) if line.startswith(" ") else line.split(maxsplit=2)[1:] for line in lines]
    problems = [f"weak: {name}" for kind, name in symbols if kind in "WVwvu"]
    exported = [name for kind, name in symbols if kind in "TDRBS"]
    if len(exported) != 1 or not exported[0].endswith("_unit"):
        problems.append(f"exports {exported}, not one unit")
    return [f"{path}: {problem}" for problem in problems]


def main():
    units = [path for path in sys.argv[1:] if UNIT.search(path)]
    if not units:
        print("no object of an instruction set was given")
        return 1
    problems = [problem for path in units for problem in check(path)]
    for problem in problems:
        print(problem)
    print(f"{len(units)} objects checked")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
