"""Trains joey: a LLaMA of 3.5 million parameters, in an hour on two cores.

    python3 train.py OUT          writes OUT/joey.pt, OUT/pieces.json and OUT/loss.csv; goes on where it was interrupted
    python3 train.py OUT --steps 40 --stories 500       a rehearsal

Needs PyTorch and a BLAS (Debian: python3-torch python3-numpy libopenblas0-pthread). Hidden matrices learn by Muon
(https://kellerjordan.github.io/posts/muon/): momentum, made orthogonal by Newton and Schulz's iteration; embedding and
norms by AdamW. The rate is constant, then falls to zero. Short rows first, then rows of the full context.

Two things decide whether so short a training learns to recall names at all (without either, the loss on names that were
said before stays at a blind guess, 3.9 nats, after 350 steps; with both it is 0.37 after 100):
- embeddings begin large (0.3), so that a token is still itself after a few layers have added to it; the norm before the
  tied output begins small in turn;
- at first, words that the grammar chose freely have no weight in the loss, and words that it recalled have four: nothing
  can be learned about the former, and their noise drowns the latter.
"""

import argparse
import json
import math
import pathlib
import random
import time

import numpy
import torch
from torch.nn import functional

import corpus
import questions
from grammar import FIXED

N_EMBD, N_LAYER, N_HEAD, N_HEAD_KV, HEAD, N_FF, N_CTX = 256, 5, 4, 2, 64, 512, 1024
NORM_EPSILON, ROPE_BASE = 1e-5, 10_000.0

SHORT, ROWS_SHORT = 256, 16  # positions of a row, and rows of a step
LONG, ROWS_LONG = N_CTX, 4
LONG_SHARE = 0.08  # of the steps, in the middle of the decay
DECAY_SHARE = 0.45
RECALL_UNTIL, LEAN_UNTIL = 0.06, 0.6  # of the steps: how long the loss has the weights RECALLING, then LEANING
MUON_RATE, EMBEDDING_RATE, NORM_RATE = 0.02, 0.05, 1e-3
EMBEDDING_STD, OUTPUT_NORM = 0.3, 0.06
TALK_SHARE = 0.5  # of the tokens


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        linear = lambda n_in, n_out: torch.nn.Linear(n_in, n_out, bias=False)
        self.attn_norm = torch.nn.Parameter(torch.ones(N_EMBD))
        self.attn_q = linear(N_EMBD, N_HEAD * HEAD)
        self.attn_k = linear(N_EMBD, N_HEAD_KV * HEAD)
        self.attn_v = linear(N_EMBD, N_HEAD_KV * HEAD)
        self.attn_output = linear(N_HEAD * HEAD, N_EMBD)
        self.ffn_norm = torch.nn.Parameter(torch.ones(N_EMBD))
        self.ffn_gate = linear(N_EMBD, N_FF)
        self.ffn_up = linear(N_EMBD, N_FF)
        self.ffn_down = linear(N_FF, N_EMBD)

    def forward(self, x, rotation, mask):
        n_rows, n, _ = x.shape
        h = norm(x, self.attn_norm)
        q = rotate(self.attn_q(h).view(n_rows, n, N_HEAD, HEAD), rotation).transpose(1, 2)
        k = rotate(self.attn_k(h).view(n_rows, n, N_HEAD_KV, HEAD), rotation).transpose(1, 2)
        v = self.attn_v(h).view(n_rows, n, N_HEAD_KV, HEAD).transpose(1, 2)
        # The heads of one group lie one after another, as in GGUF: [rows, kv, group * n, HEAD] against [rows, kv, n, HEAD].
        group = N_HEAD // N_HEAD_KV
        q = q.reshape(n_rows * N_HEAD_KV, group * n, HEAD)
        scores = torch.bmm(q, k.reshape(n_rows * N_HEAD_KV, n, HEAD).transpose(1, 2)) * HEAD**-0.5
        weights = torch.softmax(scores.view(n_rows * N_HEAD_KV, group, n, n) + mask, dim=-1)
        out = torch.bmm(weights.view(n_rows * N_HEAD_KV, group * n, n), v.reshape(n_rows * N_HEAD_KV, n, HEAD))
        x = x + self.attn_output(out.view(n_rows, N_HEAD, n, HEAD).transpose(1, 2).reshape(n_rows, n, N_EMBD))
        h = norm(x, self.ffn_norm)
        return x + self.ffn_down(functional.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Joey(torch.nn.Module):
    def __init__(self, n_vocab):
        super().__init__()
        self.token_embd = torch.nn.Embedding(n_vocab, N_EMBD)
        self.blk = torch.nn.ModuleList(Block() for _ in range(N_LAYER))
        self.output_norm = torch.nn.Parameter(torch.full((N_EMBD,), OUTPUT_NORM))
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("attn_output.weight", "ffn_down.weight"))
                torch.nn.init.normal_(weight, std=0.02 / math.sqrt(2 * N_LAYER) if residual else 0.02)
        torch.nn.init.normal_(self.token_embd.weight, std=EMBEDDING_STD)

    def forward(self, ids, places=None):
        """-> logits of the positions that `places` selects (all, when None)"""
        n = ids.shape[1]
        x = self.token_embd(ids)
        rotation = rotations(n)
        mask = torch.full((n, n), -torch.inf).triu(1)
        for block in self.blk:
            x = block(x, rotation, mask)
        x = x if places is None else x[places]
        return norm(x, self.output_norm) @ self.token_embd.weight.t()


def norm(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPSILON) * weight


def rotations(n):
    angles = torch.outer(torch.arange(n), ROPE_BASE ** (-torch.arange(0, HEAD, 2) / HEAD))
    return torch.cos(angles)[:, None], torch.sin(angles)[:, None]


def rotate(x, rotation):
    """RoPE of neighbouring pairs, the order that GGUF files of `llama` use."""
    cosine, sine = rotation
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1).flatten(-2)


class Muon:
    def __init__(self, weights, momentum=0.95):
        self.weights, self.momentum = weights, momentum
        self.moments = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()
    def step(self, rate):
        for weight, moment in zip(self.weights, self.moments):
            moment.lerp_(weight.grad, 1 - self.momentum)
            update = weight.grad.lerp(moment, self.momentum)
            scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
            weight.mul_(1 - rate * 0.01).add_(orthogonal(update), alpha=-rate * scale)
            weight.grad = None


def orthogonal(x, n_steps=5):
    """Newton and Schulz's quintic iteration: the singular values of x move to about 1."""
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(n_steps):
        square = x @ x.t()
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.t() if tall else x


class Rows:
    """Rows of training: documents one after another, each row beginning with the beginning of one."""

    def __init__(self, tokenizer, stories, draw):
        self.tokenizer, self.stories, self.draw = tokenizer, stories, draw
        self.asked = questions.training(draw)
        self.next_story = 0
        self.n_talk = self.n_all = 0

    def state(self):
        return {"draw": self.draw.getstate(), "next_story": self.next_story, "n_talk": self.n_talk, "n_all": self.n_all}

    def set_state(self, state):
        self.draw.setstate(state["draw"])
        self.next_story, self.n_talk, self.n_all = state["next_story"], state["n_talk"], state["n_all"]

    def document(self, length, weights):
        if self.n_talk < TALK_SHARE * self.n_all:
            n_turns = self.draw.choice((1, 1, 2, 3, 4) if length == SHORT else (2, 4, 8, 16))
            ids, out = corpus.encode_talk(self.tokenizer, corpus.talk(self.draw, self.asked, n_turns), weights)
            self.n_talk += len(ids)
        else:
            ids, out = corpus.encode_story(self.tokenizer, self.stories[self.next_story % len(self.stories)], weights)
            self.next_story += 1
        self.n_all += len(ids)
        return ids, out

    def batch(self, n_rows, length, weights):
        """-> ids [n_rows, length + 1], their weights of the same shape"""
        rows, row_weights = [], []
        for _ in range(n_rows):
            ids, out = [], []
            while len(ids) < length + 1:
                more, more_weights = self.document(length, weights)
                ids += more
                out += more_weights
            rows.append(ids[:length + 1])
            row_weights.append(out[:length + 1])
        return torch.tensor(rows), torch.tensor(row_weights, dtype=torch.float32)


def loss_of(model, ids, weights):
    """-> the weighted mean of the loss, in nats"""
    weights = weights[:, 1:]
    places = weights > 0
    logits = model(ids[:, :-1], places)
    losses = functional.cross_entropy(logits, ids[:, 1:][places], reduction="none")
    return (losses * weights[places]).sum() / weights.sum()


def rate_at(step, n_steps):
    """The share of the full rate: a short rise, a plateau, a fall to zero."""
    rise = min(1.0, (step + 1) / 60)
    return rise * min(1.0, (n_steps - step) / (DECAY_SHARE * n_steps))


def weights_at(share):
    return corpus.RECALLING if share < RECALL_UNTIL else corpus.LEANING if share < LEAN_UNTIL else corpus.EQUAL


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--steps", type=int, default=2600)
    arguments.add_argument("--stories", type=int, default=corpus.N_STORIES)
    arguments.add_argument("--threads", type=int, default=2)
    arguments = arguments.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(corpus.SEED)
    torch.set_num_threads(arguments.threads)

    stories = corpus.marked_stories(count=arguments.stories)
    tokenizer = corpus.make_tokenizer()
    (arguments.out / "pieces.json").write_text(json.dumps(tokenizer.pieces, ensure_ascii=False))
    held_out = [corpus.encode_story(tokenizer, parts)
                for parts in corpus.marked_stories(corpus.HELD_OUT_SEED, corpus.N_HELD_OUT)[:40]]
    exam = [corpus.encode_talk(tokenizer, [(question, [(answer, FIXED)])]) for question, answer in questions.held_out()]

    model = Joey(len(tokenizer))
    print(f"{sum(weight.numel() for weight in model.parameters())} parameters, {len(tokenizer)} tokens", flush=True)
    hidden = [weight for name, weight in model.named_parameters() if weight.dim() == 2 and "embd" not in name]
    muon = Muon(hidden)
    norms = [weight for weight in model.parameters() if weight.dim() == 1]
    adam = torch.optim.AdamW([{"params": [model.token_embd.weight], "full": EMBEDDING_RATE},
                              {"params": norms, "full": NORM_RATE}], betas=(0.9, 0.95), weight_decay=0.0)
    rows = Rows(tokenizer, stories, random.Random(corpus.SEED + 1))
    long_from, long_to = int(arguments.steps * (0.9 - LONG_SHARE)), int(arguments.steps * 0.9)
    first, n_tokens, seconds, lines = 0, 0, 0, ["step,tokens,seconds,training,stories,questions"]
    saved = arguments.out / "joey.pt"
    if saved.exists():
        state = torch.load(saved)
        if state["steps"] != arguments.steps:
            raise SystemExit(f"{saved} is of a training of {state['steps']} steps")
        model.load_state_dict(state["model"])
        adam.load_state_dict(state["adam"])
        muon.moments = state["muon"]
        rows.set_state(state["rows"])
        first, n_tokens, seconds, lines = state["step"], state["tokens"], state["seconds"], state["lines"]
        print(f"{saved} has {first} steps of {arguments.steps}", flush=True)
    begun, recent = time.time() - seconds, []
    for step in range(first, arguments.steps):
        long = long_from <= step < long_to
        weights = weights_at(step / arguments.steps)
        ids, weights = rows.batch(*((ROWS_LONG, LONG) if long else (ROWS_SHORT, SHORT)), weights)
        loss = loss_of(model, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([model.token_embd.weight], 1.0)
        rate = rate_at(step, arguments.steps)
        muon.step(MUON_RATE * rate)
        for group in adam.param_groups:
            group["lr"] = group["full"] * rate
        adam.step()
        adam.zero_grad(set_to_none=True)
        n_tokens += ids.numel()
        recent.append(loss.item())
        if step % 50 == 49 or step + 1 == arguments.steps:
            with torch.no_grad():
                seen = [numpy.mean([loss_of(model, torch.tensor([ids]), torch.tensor([weights]).float()).item()
                                    for ids, weights in documents]) for documents in (held_out, exam)]
            seconds = time.time() - begun
            lines.append(f"{step + 1},{n_tokens},{seconds:.0f},{numpy.mean(recent):.4f},{seen[0]:.4f},{seen[1]:.4f}")
            print(lines[-1], flush=True)
            recent = []
            torch.save({"step": step + 1, "steps": arguments.steps, "tokens": n_tokens, "seconds": seconds, "lines": lines,
                        "model": model.state_dict(), "adam": adam.state_dict(), "muon": muon.moments,
                        "rows": rows.state()}, arguments.out / "joey.pt.part")
            (arguments.out / "joey.pt.part").replace(saved)
            (arguments.out / "loss.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
