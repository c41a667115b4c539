#!/usr/bin/env python3
"""Plants one mistake at a time in the kernels and sees that the tests catch each.

Usage: mutate_kernels.py BUILD_FOLDER [WORD...]     BUILD_FOLDER: a release build (./dev mutate makes it);
                                                    with words: only mutations whose description has them all

Each mutation replaces one place of src/kernels by something subtly wrong. The portable unit and that of an instruction set
are compiled from a changed copy and linked with the kernels' unit tests, which must fail. Exit code 1 and a line for each mutation
that survives or no longer finds its place.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FLAGS = ["-std=c++20", "-O2", "-ffp-contract=off", "-Wno-psabi", "-w"]

# (file in src/kernels, what stands there, what is put there, what is wrong with it)
MUTATIONS = [
    ("text/matmul_narrow.h", "r < 8; r++) {\n        F32 y[n];", "r < 7; r++) {\n        F32 y[n];", "the last of eight ranges is left out"),
    ("text/matmul_wide.h", "for (uint32_t r = 0; r < 8; r++) {", "for (uint32_t r = 0; r < 7; r++) {", "the last of eight ranges of many columns is left out"),
    ("text/sums.h", "ones % 2 != 0; ones /= 2", "i > 0; ones /= 2", "ranges are added one after another"),
    ("text/matmul_narrow.h", "sum = add_pair_products(sum, pairs[i]", "sum = add_pair_products(splat(sum_zero), pairs[i]", "only the last pair of minima counts"),
    ("text/matmul_narrow.h", "SumFactor(-s.dmin)", "SumFactor(s.dmin)", "the minimum's sign"),
    ("text/matmul_narrow.h", "offset == 128 ? 4 * width : 0", "offset == 128 ? 0 : 0", "the start of codes offset by 128"),
    ("text/matmul_narrow.h", "(sum_zero - (sum_zero >> 3))", "(sum_zero - (sum_zero >> 2))", "the start of codes offset by 1"),
    ("text/matmul_narrow.h", "s.minimum * splat(-0.125f)", "s.minimum * splat(0.125f)", "the sign of a flat minimum"),
    ("text/matmul_narrow.h", "Format::is_f16_scale ? factor.times(dot) : number_of(dot) * s.scale", "factor.times(dot)", "huge scales overflow"),
    ("text/matmul_narrow.h", "Format::has_minimum ? splat(sum_zero) : splat_dword", "true ? splat(sum_zero) : splat_dword", "the offset of codes is not corrected"),
    ("text/sums.h", "n_used = args.n_columns - first_column < n ? args.n_columns - first_column : n", "n_used = n - 1", "the last column of a group"),
    ("text/sums.h", "n_rows = args.n_rows - first_row < tile_rows ? args.n_rows - first_row : tile_rows", "n_rows = tile_rows", "rows beyond the matrix are written"),
    ("text/matmul_narrow.h", "k < stop; k++, a += 4", "k + 1 < stop; k++, a += 4", "the last weight of 64"),
    ("text/sums.h", "if (args.scale != 1) {", "if (args.scale > 1) {", "scales below one are forgotten"),
    ("text/matmul_narrow.h", "k / 64 * 64 + 64 < end ? k / 64 * 64 + 64 : end", "end", "sums run over the end of 64 inputs"),
    ("text/sums.h", "n_in % 256 == 0 ? n_in / 256 : n_in / block", "n_in / block", "ranges are cut at other blocks"),
    ("text/matmul_narrow.h", "const F32 weights = Plain::at(w[q] + j * Plain::step_bytes);", "const F32 weights = Plain::at(w[q] + (j | (q & 1)) * Plain::step_bytes);", "a quarter's weights"),
    ("text/matmul_narrow.h", "(sums[0][c] + sums[1][c]) + (sums[2][c] + sums[3][c])", "((sums[0][c] + sums[1][c]) + sums[2][c]) + sums[3][c]", "quarters are added in another order"),
    ("text/matmul_narrow.h", "begin[q] + common, end[q], y[q]);", "end[q], end[q], y[q]);", "the rest of a quarter's longer range"),
    ("text/matmul_wide.h", "sums[group][p].results() + t * columns[p].kernel.n_at_once", "sums[group][p].results()", "the second tile of a pair"),
    ("text/matmul_wide.h", "i == 0, i + 1 == n_pieces});", "i == 0, true});", "a range in pieces counts its first one again"),
    ("text/matmul_wide.h", "columns[n++] = {kernel, acts, int(i),", "columns[n++] = {kernel, acts, 0,", "the second half of a group"),
    ("text/matmul_wide.h", "in_one_register(a + pairs_at<Panel>(width) + pair_bytes<Panel> * args.first);", "in_one_register(a + pairs_at<Panel>(width));", "the minima of a group's second half"),
    ("text/matmul_bf16.h", "const uint32_t stop = k / 64 * 64 + 64 < end ? k / 64 * 64 + 64 : end;", "const uint32_t stop = end;", "bf16 sums run over the end of 64 inputs"),
    ("simd/avx512bf16.h", "lane_numbers() + 16", "lane_numbers() + 15", "pairs of bf16 numbers of two rows"),
    ("simd/avx512vnni.h", "I32& dot = dots[t * n + c];", "I32& dot = dots[t * n + (c ^ (i == 7))];", "products of the next column"),
    ("simd/maddubs.h", "i == first ? product", "i == first || i == 7 ? product", "products of four codes are forgotten"),
    ("simd/maddubs.h", "32767 / (2 * 127", "40000 / (2 * 127", "16-bit sums overflow"),
    ("simd/avx2.h", "_mm256_permute4x64_epi64(reinterpret_cast<__m256i>(x), 0xd8)", "reinterpret_cast<__m256i>(x)", "entries of a grid in another order"),
    ("text/formats_flat.h", "codes[4 + i] = nibbles(x, 1);", "codes[4 + i] = nibbles(x, 1) & 0x07070707;", "the top bit of high codes"),
    ("text/formats_flat.h", "spread_bits(bits, 4 * i) & 0x10101010", "spread_bits(bits, 4 * i) & 0x10101000", "a fifth bit"),
    ("text/formats_flat.h", "select(e < 2, (e + 1) << 21", "select(e < 1, (e + 1) << 21", "MXFP4's second denormal scale"),
    ("text/formats_flat.h", "select(code == 0x7f, F32{}, scale)", "scale", "NVFP4's NaN counts"),
    ("text/formats_flat.h", "is_last ? 12 : 8 + i", "is_last ? 11 : 8 + i", "TQ1_0's last sixteen weights"),
    ("text/formats_nested.h", "(c & 0x0f0f0f0f) | (shift_right(a, 2) & 0x30303030)", "(c & 0x0f0f0f0f) | (shift_right(a, 2) & 0x10101010)", "the top bit of Q4_K's last scales"),
    ("text/formats_nested.h", "(shift_right(c, 4) & 0x0f0f0f0f) | (shift_right(b, 2)", "(c & 0x0f0f0f0f) | (shift_right(b, 2)", "Q4_K's last minima"),
    ("text/formats_nested.h", "i / 2 * 8 + i % 2 + 2 * j;", "i / 2 * 8 + i % 2 * 2 + j;", "groups of 16 in another order"),
    ("text/formats_nested.h", "minima[2 * i] = even_bytes(four);", "minima[2 * i] = four & 0x00ff00ff;", "signed minima"),
    ("text/formats_nested.h", "high, 2 * i - 4, 0x30303030), 32", "high, 2 * i - 4, 0x10101010), 32", "the top bit of Q3_K's scales"),
    ("text/formats_nested.h", "0x03030303u << n", "0x01010101u << n", "the higher bit of Q2_K's codes"),
    ("text/formats_nested.h", "(j < 3 ? 2 : (takes_any_code ? 4 : 3))", "6", "a code that is cut off"),
    ("text/matmul_narrow.h", "pairs) * Format::offset;", "pairs);", "the offset of a whole block"),
    ("text/matmul_narrow.h", "16 - Format::bits_below(j + 1)", "16", "a dot of another power in a pair"),
    ("text/formats_nested.h", "scales[i / 2 * 4 + i % 2 + j]", "scales[2 * i + j / 2]", "pairs of scales in another order"),
    ("text/panels.h", "uint16_t(-257 * Format::offset)", "uint16_t(-256 * Format::offset)", "the offset of every other scaled weight"),
    ("text/panels.h", "(pair & 0xffff0000) | (pair >> 16)", "pair", "scales of two groups mixed"),
    ("text/activations.h", "sum_zero - 124 * sum(sixteens)", "sum_zero - 120 * sum(sixteens)", "where a whole block's sum starts"),
    ("text/formats_grid.h", "x << 3) & 0x7f000000", "x << 3) & 0x3f000000", "the last of 28 signs"),
    ("text/formats_grid.h", "{0, 128, 128, 0, 128, 0, 0, 128, 128,", "{0, 128, 128, 0, 128, 0, 0, 128, 0,", "the eighth sign"),
    ("text/formats_grid.h", "(shift_right(word, 15) - 1) & 0x02020202", "(0 - shift_right(word, 15)) & 0x02020202", "IQ1_S moves the other way"),
    ("text/formats_grid.h", "8 * j + 4 * second", "8 * j", "IQ2_S's second entries"),
    ("text/formats.h", "24 - 8 * i) >> 24;", "24 - 8 * i) >> 23;", "scales are shifted back too little"),
    ("text/activations.h", "magnitudes = max(magnitudes, bits_of(load(x + k + i))", "magnitudes = max(I32{}, bits_of(load(x + k + i))", "the largest of the last sixteen only"),
    ("text/activations.h", "largest_magnitude >= splat(0x1p-120f)", "largest_magnitude >= splat(0x1p-90f)", "small activations count as nothing"),
    ("text/activations.h", "amax < splat(int32_t(0x7f800000))", "amax < splat(int32_t(0x7fffffff))", "a NaN among the activations"),
    ("text/activations.h", "each[b] = low + high;", "each[b] = low;", "the start of half a block"),
    ("text/lanes_whole.h", "x[0], x[1], 1, 17, 3, 19", "x[0], x[1], 1, 17, 19, 3", "sums of another sixteen"),
    ("text/activations.h", "const uint32_t first = i / 2 * 4 + i % 2;", "const uint32_t first = i;", "pairs of sums in another order"),
    ("text/activations.h", "splat(127.0f) / largest_magnitude", "splat(128.0f) / largest_magnitude", "codes up to 128"),
    ("text/attention.h", "shrink[c] = 1;", "shrink[c] = 0;", "a column that sees nothing of a page loses what it had"),
    ("text/attention.h", "store_first(shrink, exp_of_negative(before - after), n);", "store_first(shrink, splat(1.0f), n);", "values do not shrink when the maximum grows"),
    ("text/attention.h", "select(counts, s[i], hidden)", "select(counts, s[i], splat(0.0f))", "hidden keys weigh something"),
    ("text/attention.h", "(key < splat(end));", "(key <= splat(end));", "one key beyond the last"),
    ("text/attention.h", "const F32 a = splat(share(maximum, top)), b = splat(share(next, top));", "const F32 a = splat(share(next, top)), b = splat(share(maximum, top));", "the shares of two ranges swapped"),
    ("text/attention.h", "args.into.sum[c] = lane(fma(splat(args.next.sum[c]), b, splat(args.into.sum[c]) * a), 0);", "args.into.sum[c] = args.next.sum[c] + args.into.sum[c];", "sums of ranges are merged unshrunk"),
    ("text/attention.h", "for (uint32_t c = 0; c < n; c++) { own(c, columns[c].begin, all.begin); }\n    values.begin", "values.begin", "keys before those that all columns see"),
    ("text/attention.h", "for (uint32_t c = 0; c < n; c++) { own(c, all.end, columns[c].end); }", "", "keys behind those that all columns see"),
    ("text/attention.h", "if (args.softcap != 0) {", "if (args.softcap > 1e9f) {", "the soft cap"),
    ("text/attention.h", "(shift_right(load_i8(reinterpret_cast<const int8_t*>(p)), 4 * int(half)) & 15) - 8", "(shift_right(load_i8(reinterpret_cast<const int8_t*>(p)), 4 * int(half)) & 15) - 7", "the offset of Q4_0 values"),
    ("text/append.h", "saturated(x, 65504.0f)", "x", "f16 overflows to infinity"),
    ("text/elementary.h", "fma(k, splat(0x1.05c61p-29f), fma(k, splat(-0x1.62e43p-1f), x))", "fma(k, splat(-0x1.62e43p-1f), x)", "the second part of ln 2"),
    ("text/elementary.h", "-0x1.5d58ap+6f", "-0x1.4d58ap+6f", "exp vanishes early"),
    ("text/lanes_whole.h", "x = f(x, rotate<1>(x));\n", "", "half of a sum across lanes"),
    ("text/lanes.h", "for (uint32_t i = 0; i < n; i++) { lanes[i] = p[i]; }", "for (uint32_t i = 0; i + 1 < n; i++) { lanes[i] = p[i]; }", "the tail's last lane"),
    ("text/formats.h", "bits + 0x7fff + (shift_right(bits, 16) & 1)", "bits + 0x8000", "bf16 rounds halves up"),
]


def objects(build, folder):
    found = []
    for at, _, names in os.walk(os.path.join(build, folder)):
        found += [os.path.join(at, name) for name in names if name.endswith(".o")]
    return sorted(found)


def units_for(path):
    """Those that a changed file matters to."""
    name = os.path.basename(path)
    if name in ("maddubs.h", "avx2.h"):
        return ["portable", "avx2"]
    return ["portable", "avx512vnni", *(["avx512bf16"] if "bf16" in name or not path else [])]


def compile_and_run(copy, build, work, units):
    """The tests' exit code with the kernels of `copy`; None where they do not compile."""
    made = []
    with open(os.path.join(work, "kernels_units.h"), "w", encoding="utf-8") as file:
        file.write(f"#define WALLABY_UNITS(X) {' '.join(f'X({unit})' for unit in units)}\n")
        file.write("#define WALLABY_OTHER_UNITS(X)\n")
    for unit in [*(os.path.join("isa", unit) for unit in units), "tiles", "isa", "pages"]:
        source = os.path.join(copy, "kernels", unit + ".cpp")
        with open(source, encoding="utf-8") as file:
            options = [line.split(":", 1)[1].split() for line in file.readlines()[:3] if line.startswith("// options:")]
        made.append(os.path.join(work, unit.replace("/", "_") + ".o"))
        command = ["g++", *FLAGS, *(options[0] if options else []), f"-I{copy}", f"-I{work}", f"-I{ROOT}/src", "-c", source,
                   "-o", made[-1]]
        if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            return None
    tests = objects(build, "tests/CMakeFiles/unit_tests.dir/unit/kernels")
    libraries = [os.path.join(build, "src", f"libwallaby_{name}.a")
                 for name in ("backends", "gguf", "kv", "ops", "threads", "convert", "quant", "base")]
    libraries = [path for path in libraries if os.path.exists(path)]
    binary = os.path.join(work, "tests")
    subprocess.run(["g++", *tests, *made, "-Wl,--start-group", *libraries, "-Wl,--end-group", "-lgtest", "-lgtest_main",
                    "-lfmt", "-lpthread", "-o", binary], check=True)
    try:
        return subprocess.run([binary, "--gtest_brief=1", "--gtest_fail_fast", "--gtest_filter=-KernelsIsa.*"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False, timeout=600).returncode
    except subprocess.TimeoutExpired:
        return 1


def try_mutation(mutation, build):
    """What there is to complain about, or None."""
    path, old, new, what = mutation
    with tempfile.TemporaryDirectory() as work:
        copy = os.path.join(work, "src")
        shutil.copytree(os.path.join(ROOT, "src", "kernels"), os.path.join(copy, "kernels"))
        if old != new:
            target = os.path.join(copy, "kernels", path)
            with open(target, encoding="utf-8") as file:
                text = file.read()
            if text.count(old) != 1:
                return f"{path}: '{what}' finds its place {text.count(old)} times"
            with open(target, "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))
        code = compile_and_run(copy, build, work, units_for(path))
        if code is None:
            return f"{path}: '{what}' does not compile"
        if old == new:
            return None if code == 0 else "the tests fail without any mutation"
        return f"{path}: '{what}' survives" if code == 0 else None


def main():
    build, words = sys.argv[1], sys.argv[2:]
    chosen = [m for m in MUTATIONS if all(word in m[3] for word in words)]
    unchanged = try_mutation(("", "", "", "nothing"), build)
    if unchanged:
        print(unchanged)
        return 1
    n_caught = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, _, _, what), problem in zip(chosen, pool.map(lambda m: try_mutation(m, build), chosen)):
            n_caught += not problem
            print(problem or f"{path}: '{what}' is caught", flush=True)
    print(f"{n_caught} of {len(chosen)} mutations caught")
    return 0 if n_caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
