"""What joey is trained on: stories, and talks about Wallaby, as sequences of token ids with the weight of each token.

A story is  <s> text </s>. A talk is ChatML's turns; only joey's own words and the ends of its turns have weight.
Everything is drawn from seeds: the same seed is the same corpus.
"""

import random

import questions
from stories import GRAMMAR, TABLES
from tokenizer import BOS, EOS, IM_END, IM_START, Tokenizer, train

SEED = 2026
N_STORIES = 40_000
N_VOCAB = 2_000
HELD_OUT_SEED = 64_023
N_HELD_OUT = 200

ASK_FOR_A_STORY = ("Tell me a story about {a}.", "Please tell me a story about {a}.", "A story about {a}, please.",
                   "Do you know a story about {a}?", "I want a story about {a}.", "story about {a}")
ASK_FOR_ANY = ("Tell me a story.", "Please tell me a story.", "A story, please.", "I want a story.", "Another story!",
               "One more story, please.", "tell me a story")


def stories(seed=SEED, count=N_STORIES):
    draw = random.Random(seed)
    return [GRAMMAR.write("story", draw)[0] for _ in range(count)]


def held_out_stories():
    """Texts that the training text does not have, to measure perplexity on."""
    return stories(HELD_OUT_SEED, N_HELD_OUT)


def story_on_request(draw):
    """-> (question, story)"""
    if draw.random() < 0.3:
        return draw.choice(ASK_FOR_ANY), GRAMMAR.write("story", draw)[0]
    kind = draw.randrange(len(TABLES["kinds"]))
    return (draw.choice(ASK_FOR_A_STORY).format(a=TABLES["kinds"][kind]["a"]),
            GRAMMAR.write("story", draw, {"kind": kind})[0])


def talk(draw, questions_drawn, n_turns):
    """-> [(question, answer)]"""
    return [story_on_request(draw) if draw.random() < 0.06 else next(questions_drawn) for _ in range(n_turns)]


def make_tokenizer(texts):
    draw = random.Random(SEED)
    drawn = questions.training(draw)
    asked = [part for _ in range(12_000) for part in next(drawn)] + ["user\nassistant\nsystem\n"] * 2_000
    return Tokenizer(train(texts[:6_000] + asked, N_VOCAB))


def encode_story(tokenizer, text):
    """-> (ids, weights)"""
    ids = [BOS] + tokenizer.encode(text) + [EOS]
    return ids, [1] * len(ids)


def encode_talk(tokenizer, turns):
    """-> (ids, weights): ChatML, as the template in the file writes it"""
    ids, weights = [BOS], [0]
    newline = tokenizer.encode("\n")

    def say(part, weight):
        ids.extend(part)
        weights.extend([weight] * len(part))

    for question, answer in turns:
        say([IM_START] + tokenizer.encode("user\n" + question) + [IM_END] + newline, 0)
        say([IM_START] + tokenizer.encode("assistant\n"), 0)
        say(tokenizer.encode(answer) + [IM_END], 1)
        say(newline, 0)
    say([EOS], 1)
    return ids, weights
