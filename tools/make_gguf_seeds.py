#!/usr/bin/env python3
"""Writes the seed corpora of the GGUF fuzzers: small files, valid ones and one of each way to be malformed (gguf), and
complete models of a few kilobytes (gguf_model).

Usage: make_gguf_seeds.py [--check] [FOLDER]      FOLDER: default tests/fuzz/corpus

The files are made from nothing but this script, byte for byte the same each time; --check compares instead of writing.
"""
import math
import os
import struct
import sys

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q",
        F64: "<d"}
NAMES = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"]
# Tensor types: number, weights in a block, bytes in a block.
TYPES = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q4_1": (3, 32, 20), "q5_0": (6, 32, 22),
         "q5_1": (7, 32, 24), "q8_0": (8, 32, 34), "q2_k": (10, 256, 84), "q3_k": (11, 256, 110), "q4_k": (12, 256, 144),
         "q5_k": (13, 256, 176), "q6_k": (14, 256, 210), "iq2_xxs": (16, 256, 66), "iq2_xs": (17, 256, 74),
         "iq3_xxs": (18, 256, 98), "iq1_s": (19, 256, 50), "iq4_nl": (20, 32, 18), "iq3_s": (21, 256, 110),
         "iq2_s": (22, 256, 82), "iq4_xs": (23, 256, 136), "i8": (24, 1, 1), "i16": (25, 1, 2), "i32": (26, 1, 4),
         "i64": (27, 1, 8), "f64": (28, 1, 8), "iq1_m": (29, 256, 56), "bf16": (30, 1, 2), "tq1_0": (34, 256, 54),
         "tq2_0": (35, 256, 66), "mxfp4": (39, 32, 17), "nvfp4": (40, 64, 36), "q1_0": (41, 128, 18),
         "q2_0": (42, 64, 18)}
MAX = 2**64 - 1


def string(text, length=None):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data) if length is None else length) + data


def value(kind, content):
    return string(content) if kind == STRING else struct.pack(PACK[kind], content)


def kv(key, kind, content):
    return string(key) + struct.pack("<I", kind) + value(kind, content)


def array(key, element, items, count=None):
    head = struct.pack("<IIQ", ARRAY, element, len(items) if count is None else count)
    return string(key) + head + b"".join(value(element, item) for item in items)


def tensor(name, dims, kind, offset, n_dims=None):
    count = len(dims) if n_dims is None else n_dims
    return string(name) + struct.pack(f"<I{len(dims)}QIQ", count, *dims, kind, offset)


def header(version=3, n_tensors=0, n_kv=0, magic=b"GGUF"):
    return magic + struct.pack("<IQQ", version, n_tensors, n_kv)


def build(kvs=(), tensors=(), data=b"", alignment=32, version=3, n_tensors=None, n_kv=None):
    """A file of ready-made records; counts may lie."""
    out = header(version, len(tensors) if n_tensors is None else n_tensors, len(kvs) if n_kv is None else n_kv)
    out += b"".join(kvs) + b"".join(tensors)
    return out + b"\0" * (-len(out) % alignment) + data if tensors else out


def payload(n_bytes):
    """Bytes that are neither constant nor random."""
    return bytes((i * 37 + i // 256 * 11) % 256 for i in range(n_bytes))


def with_tensors(specs, alignment=32, kvs=(), version=3):
    """A valid file of tensors (name, dims, type name)."""
    records, data = [], b""
    for name, dims, kind in specs:
        number, block, n_bytes = TYPES[kind]
        records.append(tensor(name, dims, number, len(data)))
        data += payload(math.prod(dims) // block * n_bytes)
        data += b"\0" * (-len(data) % alignment)
    return build(kvs, records, data, alignment, version)


def valid():
    scalars = [kv("v." + NAMES[k], k, c) for k, c in
               [(U8, 200), (I8, -3), (U16, 60000), (I16, -300), (U32, 4000000000), (I32, -70000), (F32, 0.5), (BOOL, 1),
                (STRING, "text \u00e9"), (U64, MAX), (I64, -2**63), (F64, -1e300)]]
    arrays = [array("a." + NAMES[k], k, c) for k, c in
              [(U8, [0, 255]), (I8, [-128, 127]), (U16, [1, 2, 3]), (I16, [-1]), (U32, [7, 8]), (I32, [-7, 8]),
               (F32, [0.0, -1.5]), (BOOL, [0, 1, 1]), (STRING, ["", "a", "\u2581the"]), (U64, [MAX]), (I64, [-1, 0]),
               (F64, [3.5])]] + [array("a.empty", F32, []), array("a.no_text", STRING, [])]
    llama = [kv("general.architecture", STRING, "llama"), kv("llama.block_count", U32, 1),
             kv("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
             array("tokenizer.ggml.tokens", STRING, ["<unk>", "<s>", "</s>", "a", "b"]),
             array("tokenizer.ggml.scores", F32, [0, 0, 0, -1, -2]),
             array("tokenizer.ggml.token_type", I32, [2, 3, 3, 1, 1])]
    few = [("token_embd.weight", (32, 5), "q4_0"), ("output_norm.weight", (32,), "f32"), ("blk.0.w", (32, 2, 2), "q8_0"),
           ("blk.0.b", (3, 1, 2, 1), "f16")]
    small_blocks = [(t, (TYPES[t][1],), t) for t in TYPES]
    return {
        "empty_v2": build(version=2),
        "empty_v3": build(),
        "scalars": build(scalars),
        "arrays": build(arrays),
        "llama_v2": with_tensors(few, kvs=llama, version=2),
        "llama_v3": with_tensors(few, kvs=llama),
        "every_type": with_tensors(small_blocks),
        "alignment_1": with_tensors(few, 1, [kv("general.alignment", U32, 1)]),
        "alignment_64": with_tensors(few, 64, [kv("general.alignment", U32, 64)]),
    }


def malformed():
    one = tensor("t", (4,), 0, 0)
    data = payload(32)
    a, b = tensor("a", (8,), 0, 0), tensor("b", (8,), 0, 32)
    huge = 0x7FFFFFFFFFFFFFC0
    return {
        "bad_magic": b"GGML" + build()[4:],
        "bad_version_0": build(version=0),
        "bad_version_1": build(version=1),
        "bad_version_4": build(version=4),
        "bad_big_endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
        "bad_n_tensors": build(n_tensors=MAX),
        "bad_n_kv": build(n_kv=MAX),
        "bad_key_length": build([struct.pack("<Q", MAX) + b"key"], n_kv=1),
        "bad_key_empty": build([kv("", U8, 1)]),
        "bad_key_twice": build([kv("k", U8, 1), kv("k", U8, 2)]),
        "bad_value_type": build([string("k") + struct.pack("<IQ", 13, 0)]),
        "bad_string_length": build([string("k") + struct.pack("<I", STRING) + string("text", 2**30)]),
        "bad_bool": build([kv("k", BOOL, 2)]),
        "bad_array_count": build([array("k", U32, [1, 2], 2**62)]),
        "bad_array_nested": build([string("k") + struct.pack("<IIQIQ", ARRAY, ARRAY, 1, U8, 0)]),
        "bad_array_type": build([string("k") + struct.pack("<IIQ", ARRAY, 99, 2**40)]),
        "bad_array_strings": build([array("k", STRING, ["a", "b"], 3)]),
        "bad_alignment_13": build([kv("general.alignment", U32, 13)], [one], data),
        "bad_alignment_type": build([kv("general.alignment", I32, 32)], [one], data),
        "bad_alignment_0": build([kv("general.alignment", U32, 0)], [one], data),
        "bad_name_long": build((), [tensor("n" * 64, (4,), 0, 0)], data),
        "bad_name_twice": build((), [a, tensor("a", (8,), 0, 32)], payload(64)),
        "bad_n_dims": build((), [tensor("t", (1,) * 5, 0, 0)], data),
        "bad_n_dims_max": build((), [tensor("t", (4,), 0, 0, 2**32 - 1)], data),
        "bad_dim_0": build((), [tensor("t", (4, 0), 0, 0)], data),
        "bad_dim_wraps": build((), [tensor("t", (2**42 + 1, 2**22), 0, 0)], data),
        "bad_dim_negative": build((), [tensor("t", (2**63,), 0, 0)], data),
        "bad_bytes_wrap": build((), [tensor("t", (2**61,), 27, 0)], data),
        "bad_sum_wraps": build((), [tensor("a", (huge,), 24, 0), tensor("b", (huge,), 24, huge)], data),
        "bad_type": build((), [tensor("t", (4,), 4, 0)], data),
        "bad_row": build((), [tensor("t", (128, 2), 12, 0)], payload(160)),
        "bad_offset": build((), [tensor("t", (4,), 0, 1)], data),
        "bad_offset_far": build((), [tensor("t", (4,), 0, MAX - 31)], data),
        "bad_overlap": build((), [a, tensor("b", (8,), 0, 0)], payload(64)),
        "bad_truncated": build((), [a, b], payload(63)),
        "bad_cut_header": build([kv("k", U32, 1)], [one], data)[:70],
    }


SPM = ["<unk>", "<s>", "</s>", "<0x0A>", "<0x61>", "\u2581", "a", "b", "ab", "\u2581a", "\u2581ab", "\u00e9"]
BPE = ["<|endoftext|>", "a", "b", "c", "d", "e", "\u0120", "ab", "\u0120a", "\u0120ab", "cd", "\u010a"]


def tokenizer(kind):
    tokens = SPM if kind == "llama" else BPE
    types = [2, 3, 3, 6, 6] + [1] * 7 if kind == "llama" else [3] + [1] * 11
    keys = [kv("tokenizer.ggml.model", STRING, kind), array("tokenizer.ggml.tokens", STRING, tokens),
            array("tokenizer.ggml.token_type", I32, types)]
    if kind == "llama":
        return keys + [array("tokenizer.ggml.scores", F32, [-float(i) for i in range(12)])]
    return keys + [kv("tokenizer.ggml.pre", STRING, "gpt-2"),
                   array("tokenizer.ggml.merges", STRING, ["a b", "\u0120 a", "\u0120a b", "c d"]),
                   kv("tokenizer.ggml.bos_token_id", U32, 0), kv("tokenizer.ggml.eos_token_id", U32, 0)]


def model(architecture, vocabulary, tensors, keys=(), alignment=32):
    """A model that runs: 8 wide, 2 heads of 4, 12 tokens. tensors: (name, dims), as F32."""
    name = architecture + "."
    kvs = [kv("general.architecture", STRING, architecture), kv(name + "context_length", U32, 16),
           kv(name + "embedding_length", U32, 8), kv(name + "block_count", U32, 1),
           kv(name + "feed_forward_length", U32, 8), kv(name + "attention.head_count", U32, 2)]
    kvs += [kv(name + key, kind, content) for key, kind, content in keys] + tokenizer(vocabulary)
    records, data = [], b""
    for tensor_name, dims in [("token_embd.weight", (8, 12)), *tensors, ("output_norm.weight", (8,))]:
        records.append(tensor(tensor_name, dims, 0, len(data)))
        count = math.prod(dims)
        data += struct.pack(f"<{count}f", *((i * 37 % 64 - 31.5) / 32 for i in range(count)))
        data += b"\0" * (-len(data) % alignment)
    return build(kvs, records, data, alignment)


def models():
    layer = [("attn_norm.weight", (8,)), ("attn_q.weight", (8, 8)), ("attn_k.weight", (8, 4)), ("attn_v.weight", (8, 4)),
             ("attn_output.weight", (8, 8)), ("ffn_norm.weight", (8,))]
    dense = [("ffn_gate.weight", (8, 8)), ("ffn_up.weight", (8, 8)), ("ffn_down.weight", (8, 8))]
    routed = [("ffn_gate_inp.weight", (8, 3)), ("ffn_gate_exps.weight", (8, 8, 3)), ("ffn_up_exps.weight", (8, 8, 3)),
              ("ffn_down_exps.weight", (8, 8, 3))]
    gpt2 = [(f"{name}.{part}", dims) for name, n_in, n_out in
            [("attn_norm", 0, 8), ("attn_qkv", 8, 24), ("attn_output", 8, 8), ("ffn_norm", 0, 8), ("ffn_up", 8, 8),
             ("ffn_down", 8, 8)]
            for part, dims in [("weight", (n_in, n_out) if n_in else (n_out,)), ("bias", (n_out,))]]
    blk = [[("blk.0." + name, dims) for name, dims in part] for part in (layer, dense, routed, gpt2)]
    rms = [("attention.head_count_kv", U32, 1), ("attention.layer_norm_rms_epsilon", F32, 1e-5)]
    yarn = [("rope.scaling.type", STRING, "yarn"), ("rope.scaling.factor", F32, 4.0),
            ("rope.scaling.original_context_length", U32, 8), ("attention.temperature_scale", F32, 0.1)]
    return {
        "llama": model("llama", "llama", blk[0] + blk[1] + [("output.weight", (8, 12)), ("rope_freqs.weight", (2,))],
                       rms),
        "routed": model("llama", "gpt2", blk[0] + blk[2],
                        rms + [("expert_count", U32, 3), ("expert_used_count", U32, 2)]),
        "mistral3": model("mistral3", "llama", blk[0] + blk[1] + [("blk.0.attn_q.bias", (8,)), ("blk.0.attn_q.scale", (1,))],
                          rms + yarn),
        "gpt2": model("gpt2", "gpt2", [("position_embd.weight", (8, 16))] + blk[3] + [("output_norm.bias", (8,))],
                      [("attention.layer_norm_epsilon", F32, 1e-5)]),
    }


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folder = arguments[0] if arguments else os.path.join(root, "tests", "fuzz", "corpus")
    seeds = {os.path.join(group, name + ".gguf"): content
             for group, files in [("gguf", {**valid(), **malformed()}), ("gguf_model", models())]
             for name, content in files.items()}
    if "--check" not in sys.argv:
        for name, content in seeds.items():
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        print(f"{len(seeds)} seeds, {sum(map(len, seeds.values()))} bytes")
        return 0
    wrong = []
    for name, content in seeds.items():
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            wrong.append(f"{name}: missing")
            continue
        with open(path, "rb") as file:
            if file.read() != content:
                wrong.append(f"{name}: differs from what this script writes")
    print("\n".join(wrong) or f"{len(seeds)} seeds as written")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
