"""What joey must show, measured through `wallaby` itself: python3 check.py WALLABY [-m FILE] [--stories N]

Stories: of N sampled at temperature 0.8 with as many seeds, how many the corpus grammar explains, how many differ, and
how many of their sentences of more than 8 words stand in the training text. Questions: how many of the 100 held-out
phrasings get the right answer, to the letter, at temperature 0. Exit code 1 when a bar is missed.
"""

import argparse
import concurrent.futures
import random
import statistics
import subprocess
import sys

import corpus
import questions
from stories import GRAMMAR, long_sentences

PROMPT = "Once upon a time"


def wallaby(arguments, *more):
    model = ["-m", arguments.model] if arguments.model else ["-m", "joey"]
    run = subprocess.run([arguments.wallaby, "run", *model, "-t", "1", *more], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode != 0:
        raise SystemExit(f"wallaby run failed ({run.returncode}): {run.stderr.decode(errors='replace')}")
    return run.stdout.decode(errors="replace")


def story(arguments, seed):
    text = wallaby(arguments, "-n", "400", "--temp", "0.8", "--top-k", "0", "--top-p", "1", "--min-p", "0",
                   "--seed", str(seed), PROMPT)
    return (text if text.startswith(PROMPT) else PROMPT + text).rstrip("\n")


def check_stories(arguments, pool):
    texts = list(pool.map(lambda seed: story(arguments, seed), range(1, arguments.stories + 1)))
    failed = [(seed, text) for seed, text in enumerate(texts, 1) if GRAMMAR.parse("story", text) <= len(text)]
    for seed, text in failed[:arguments.show]:
        at = GRAMMAR.parse("story", text)
        print(f"seed {seed} leaves the grammar at: ...{text[max(0, at - 60):at]!r} | {text[at:at + 40]!r}")
    trained = {sentence for text in corpus.stories() for sentence in long_sentences(text)}
    long = [sentence for text in texts for sentence in long_sentences(text)]
    repeated = sum(sentence in trained for sentence in long)
    n_parsed, n_distinct = len(texts) - len(failed), len(set(texts))
    print(f"stories: {n_parsed} of {len(texts)} parse, {n_distinct} are distinct, {repeated} of {len(long)} long "
          f"sentences stand in the training text ({100 * repeated / max(1, len(long)):.1f} %)")
    return n_parsed >= 0.95 * len(texts) and n_distinct >= 0.9 * len(texts) and repeated <= 0.05 * len(long)


def check_questions(arguments, pool):
    pairs = questions.held_out()
    answers = pool.map(lambda pair: wallaby(arguments, "--chat", "-n", "80", "--temp", "0", pair[0]).strip(), pairs)
    wrong = [(question, right, answer) for (question, right), answer in zip(pairs, answers) if answer != right]
    for question, right, answer in wrong[:arguments.show]:
        print(f"asked: {question}\n  right: {right}\n  given: {answer}")
    print(f"questions: {len(pairs) - len(wrong)} of {len(pairs)} right")
    return len(wrong) <= 0.1 * len(pairs)


def entropy(count=20_000):
    draw = random.Random(1)
    return [GRAMMAR.write("story", draw)[1] for _ in range(count)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wallaby")
    parser.add_argument("-m", "--model", help="a GGUF file; the built-in joey when none is given")
    parser.add_argument("--stories", type=int, default=200)
    parser.add_argument("--show", type=int, default=10, help="failures to print")
    arguments = parser.parse_args()
    bits = entropy()
    print(f"grammar: {statistics.mean(bits):.1f} bits a story (standard deviation {statistics.stdev(bits):.1f})")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        passed = [check_stories(arguments, pool), check_questions(arguments, pool)]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
