#!/usr/bin/env python3
"""Compiles sources, as far as syntax and types go, for systems that there is no machine of here.

Usage: check_other_systems.py GENERATED_X86 GENERATED_ARM FILE.cpp...

GENERATED_*: where a build for each processor has written its headers (build/release/src/generated,
build/aarch64/src/generated). FILE: paths relative to the project's root; those outside src/ are left out.

Windows is MinGW's g++ with its headers. For macOS there are none, so clang has Apple's target and macros, and the C and
C++ headers of Debian's cross compiler in the place of Apple's: that finds what the target does not have (sections,
registers, attributes, types of another size), not functions that only Linux has. Those are kept in the files of
OF_A_SYSTEM, which are what a port would write again, and which Windows' headers would not let pass elsewhere.
"""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

# What a port writes again, and why.
OF_A_SYSTEM = {
    "src/assets/embedded.cpp": "the assembler's words for sections",
    "src/base/arena.cpp": "memory",
    "src/base/bytes.cpp": "files",
    "src/base/cpu.cpp": "features of ARM processors",
    "src/base/mapping.cpp": "mapped files",
    "src/base/memory_use.cpp": "/proc",
    "src/base/processor.cpp": "/proc and uname",
    "src/base/usage.cpp": "/proc and getrusage",
    "src/cli/interrupt.cpp": "signals",
    "src/cli/run.cpp": "poll",
    "src/probe/disk.cpp": "unnamed files, the page cache",
    "src/threads/cpus.cpp": "affinity",
    "src/threads/pool.cpp": "affinity",
}
# Libraries that are headers, or have headers that do not depend on the system.
LIBRARIES = ("fmt", "CLI", "nlohmann", "toml++", "pcre2.h", "utf8proc.h")
COMMON = ["-std=c++20", "-fsyntax-only", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Isrc",
          "-DFMT_HEADER_ONLY", "-DPCRE2_STATIC", '-DWALLABY_VERSION="0"']
ARM_HEADERS = "/usr/aarch64-linux-gnu/include"
SYSTEMS = {
    "Windows": ("x86_64", ["x86_64-w64-mingw32-g++-posix", "-Wno-restrict", "-Wno-maybe-uninitialized"]),
    "macOS": ("arm64", ["clang++", "-target", "arm64-apple-macos13", "-Wno-pass-failed", "-D_GNU_SOURCE",
                        "-U__nonnull",  # clang's macro on Apple's systems, glibc's name of another
                        "-nostdinc++", "-isystem", f"{ARM_HEADERS}/c++/12",
                        "-isystem", f"{ARM_HEADERS}/c++/12/aarch64-linux-gnu", "-isystem", ARM_HEADERS]),
}


def unit_head(path):
    """Of src/kernels/isa/NAME.cpp: for which processors it is, and its options."""
    with open(path, encoding="utf-8") as file:
        lines = [next(file).strip() for _ in range(3)]
    return lines[1].partition("processor:")[2].strip(), lines[2].partition("options:")[2].split()


def compile_one(system, path, generated, libraries):
    """What is wrong, or None."""
    processor, command = SYSTEMS[system]
    options = []
    if path.startswith("src/kernels/isa/"):
        processors, options = unit_head(path)
        if processors != "any" and processor not in processors.split("|"):
            return None
    done = subprocess.run([*command, *COMMON, "-isystem", libraries, f"-I{generated[processor]}", *options, path],
                          capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"{path} does not compile for {system}:\n{done.stderr}"


def main():
    generated = {"x86_64": os.path.abspath(sys.argv[1]), "arm64": os.path.abspath(sys.argv[2])}
    files = sys.argv[3:]
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    gone = [path for path in OF_A_SYSTEM if not os.path.exists(path)]
    files = [path for path in files if path.startswith("src/") and path not in OF_A_SYSTEM]
    problems = [f"{path} is listed as a system's own, but is not there" for path in gone]
    with tempfile.TemporaryDirectory() as libraries, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name in LIBRARIES:
            os.symlink(f"/usr/include/{name}", os.path.join(libraries, name))
        jobs = [pool.submit(compile_one, system, path, generated, libraries) for path in files for system in SYSTEMS]
        problems += [problem for job in jobs if (problem := job.result())]
    for problem in problems:
        print(problem)
    print(f"compiled for {' and '.join(SYSTEMS)}: {len(files)} files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
