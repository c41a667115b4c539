#!/usr/bin/env python3
"""Checks that no translation unit is compiled with flags that change floating-point results.

Usage: check_float_flags.py COMPILE_COMMANDS_JSON

Every entry must end up with -ffp-contract=off (the last -ffp-contract= counts) and must not carry a flag that lets the
compiler reorder, approximate or assume away floating-point arithmetic. The project promises the same bits on every
instruction set; one such flag in one file breaks it silently. Exit code 1 and a line for each offence.
"""
import json
import shlex
import sys

FORBIDDEN = ("-ffast-math", "-Ofast", "-funsafe", "-mrecip", "-fassociative-math", "-freciprocal-math",
             "-ffinite-math-only", "-fno-signed-zeros", "-mdaz-ftz")


def check_entry(entry):
    """Problems of one entry of the compile database."""
    arguments = entry.get("arguments") or shlex.split(entry["command"])
    problems = []
    contract = [a.split("=", 1)[1] for a in arguments if a.startswith("-ffp-contract=")]
    if not contract:
        problems.append("lacks -ffp-contract=off")
    elif contract[-1] != "off":
        problems.append(f"is compiled with -ffp-contract={contract[-1]}")
    problems += [f"is compiled with {a}" for a in arguments if a.startswith(FORBIDDEN)]
    return [f"{entry['file']}: {problem}" for problem in problems]


def check(path):
    """Every problem of a compile database, and its number of entries."""
    with open(path, encoding="utf-8") as file:
        entries = json.load(file)
    if not entries:
        return [f"{path}: holds no translation unit"], 0
    return [problem for entry in entries for problem in check_entry(entry)], len(entries)


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    problems, count = check(sys.argv[1])
    for problem in problems:
        print(problem)
    if not problems:
        print(f"float flags: {count} translation units, all with -ffp-contract=off and no fast-math flag")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
