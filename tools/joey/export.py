"""Writes what train.py learned as a GGUF file in F32: python3 export.py OUT joey-f32.gguf

The file in the tree is made from it with `wallaby quantize joey-f32.gguf joey.gguf Q8_0 --pure`. Layout of the file:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import json
import pathlib
import struct
import sys

import torch

import train
from tokenizer import BOS, EOS, IM_END, UNKNOWN, Tokenizer

ALIGNMENT = 32

# ChatML, in the words that engines know it by.
CHAT_TEMPLATE = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
                 "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
                 "{% endif %}")


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


# GGUF's numbers of the types of values.
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
PACK = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}


def value(kind, what):
    return string(what) if kind == STRING else struct.pack(PACK[kind], what)


def entry(key, kind, what):
    if isinstance(what, list):
        return (string(key) + struct.pack("<IIQ", ARRAY, kind, len(what)) + b"".join(value(kind, one) for one in what))
    return string(key) + struct.pack("<I", kind) + value(kind, what)


def metadata(tokenizer):
    texts, scores, types = tokenizer.table()
    return [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "joey"),
        ("general.description", STRING, "Wallaby's built-in model: short animal stories, and questions about Wallaby"),
        ("general.license", STRING, "mit"),
        ("general.alignment", U32, ALIGNMENT),
        ("general.file_type", U32, 0),
        ("llama.context_length", U32, train.N_CTX),
        ("llama.embedding_length", U32, train.N_EMBD),
        ("llama.block_count", U32, train.N_LAYER),
        ("llama.feed_forward_length", U32, train.N_FF),
        ("llama.attention.head_count", U32, train.N_HEAD),
        ("llama.attention.head_count_kv", U32, train.N_HEAD_KV),
        ("llama.attention.layer_norm_rms_epsilon", F32, train.NORM_EPSILON),
        ("llama.rope.dimension_count", U32, train.HEAD),
        ("llama.rope.freq_base", F32, train.ROPE_BASE),
        ("llama.vocab_size", U32, len(texts)),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.pre", STRING, "default"),
        ("tokenizer.ggml.tokens", STRING, texts),
        ("tokenizer.ggml.scores", F32, scores),
        ("tokenizer.ggml.token_type", I32, types),
        ("tokenizer.ggml.unknown_token_id", U32, UNKNOWN),
        ("tokenizer.ggml.bos_token_id", U32, BOS),
        ("tokenizer.ggml.eos_token_id", U32, EOS),
        ("tokenizer.ggml.eot_token_id", U32, IM_END),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, False),
        ("tokenizer.chat_template", STRING, CHAT_TEMPLATE),
        # A prompt on the command line is the beginning of a story; without one, `wallaby run` chats.
        ("wallaby.run.prompt", STRING, "continue"),
    ]


def tensors(weights):
    """-> [(name as GGUF files have it, tensor)]: matrices are [outputs, inputs], which GGUF writes inputs first"""
    named = []
    for name, weight in weights.items():
        named.append((name if name.endswith(".weight") else name + ".weight", weight.contiguous()))
    return named


def pad(data):
    return data + bytes(-len(data) % ALIGNMENT)


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    tokenizer = Tokenizer(json.loads((folder / "pieces.json").read_text()))
    named = tensors(torch.load(folder / "joey.pt")["model"])
    pairs = metadata(tokenizer)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(named), len(pairs)) + b"".join(entry(*pair) for pair in pairs)
    body, offset = [], 0
    for name, weight in named:
        shape = tuple(reversed(weight.shape))
        head += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        body.append(pad(weight.numpy().astype("<f4").tobytes()))
        offset += len(body[-1])
    partial = out.with_suffix(".part")
    partial.write_bytes(pad(head) + b"".join(body))
    partial.replace(out)
    print(f"{out}: {out.stat().st_size} bytes, {len(named)} tensors")


if __name__ == "__main__":
    main()
