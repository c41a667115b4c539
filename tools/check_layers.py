#!/usr/bin/env python3
"""Checks every include under src/ against the edges that src/LAYERS allows.

Usage: check_layers.py [ROOT]      ROOT is the project's root; default: this file's project.

Each folder of src/ has a line "name : folders it may include". Reported, one per line, with exit code 1:
an include along an edge that is not written; an include of our own that is not folder-qualified or names no file;
a folder with sources and without a line; a line or an edge that names no folder; a cycle.
"""
import os
import re
import sys

SOURCES = (".h", ".cpp")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def read_layers(path):
    """The edges by folder, and what is wrong with the file's form."""
    edges, problems = {}, []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.split("#")[0].strip()
            if not line:
                continue
            name, colon, rest = line.partition(":")
            name = name.strip()
            if not colon or not re.fullmatch(r"[a-z]+", name):
                problems.append(f"src/LAYERS:{number}: not of the form 'folder : folders'")
            elif name in edges:
                problems.append(f"src/LAYERS:{number}: '{name}' has a line already")
            else:
                edges[name] = rest.split()
    return edges, problems


def find_cycle(edges):
    """The folders of one cycle, first to first; empty when there is none."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done or name not in edges:
            return []
        path.append(name)
        for other in edges[name]:
            if cycle := visit(other):
                return cycle
        path.pop()
        done.add(name)
        return []

    for name in edges:
        if cycle := visit(name):
            return cycle
    return []


def sources_of(src):
    for folder, _, files in sorted(os.walk(src)):
        for file in sorted(files):
            if file.endswith(SOURCES):
                yield os.path.relpath(os.path.join(folder, file), src).replace(os.sep, "/")


def check_file(src, path, edges):
    """Problems of one file's includes."""
    problems = []
    folder = path.split("/")[0]
    with open(os.path.join(src, path), encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            bracket, target = match.groups()
            where = f"src/{path}:{number}"
            other = target.split("/")[0]
            if bracket == "<":
                if "/" in target and other in edges:
                    problems.append(f'{where}: <{target}> is ours: include it as "{target}"')
                continue
            if "/" not in target or other not in edges:
                problems.append(f'{where}: "{target}" does not start with a folder of src/LAYERS')
            elif not os.path.isfile(os.path.join(src, target)):
                problems.append(f'{where}: "{target}" is not under src/')
            elif other != folder and other not in edges[folder]:
                problems.append(f'{where}: {folder} may not include {other} ("{target}"): src/LAYERS has no such edge')
    return problems


def check(root):
    """Every problem of the tree at root."""
    src = os.path.join(root, "src")
    edges, problems = read_layers(os.path.join(src, "LAYERS"))
    for name, others in edges.items():
        if not os.path.isdir(os.path.join(src, name)):
            problems.append(f"src/LAYERS: '{name}' is not a folder of src/")
        for other in others:
            if other not in edges:
                problems.append(f"src/LAYERS: '{name}' names '{other}', which has no line")
    if cycle := find_cycle(edges):
        problems.append("src/LAYERS: a cycle: " + " -> ".join(cycle))
    without_line = set()
    for path in sources_of(src):
        folder = path.split("/")[0]
        if folder == path:
            problems.append(f"src/{path}: stands in no folder")
        elif folder not in edges:
            without_line.add(folder)
        else:
            problems += check_file(src, path, edges)
    problems += [f"src/{folder}: has sources, but no line in src/LAYERS" for folder in sorted(without_line)]
    return problems


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    problems = check(root)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"layers: {sum(1 for _ in sources_of(os.path.join(root, 'src')))} files, no forbidden include")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
