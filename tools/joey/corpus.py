"""What joey is trained on: stories, and talks about Wallaby, as sequences of token ids with the weight of each token.

A story is  <s> text </s>. A talk is ChatML's turns; only joey's own words and the ends of its turns have weight.
Everything is drawn from seeds: the same seed is the same corpus.
"""

import random

import questions
from grammar import FIXED
from stories import GRAMMAR, TABLES
from tokenizer import BOS, EOS, IM_END, IM_START, Tokenizer, train

SEED = 2026
N_STORIES = 40_000
N_VOCAB = 2_000
HELD_OUT_SEED = 64_023
N_HELD_OUT = 200

# The weight of a token in the loss, by its origin: FIXED, CHOSEN, RECALLED.
EQUAL = (1, 1, 1)
RECALLING = (1, 0, 4)
LEANING = (1, 0.3, 2)

ASK_FOR_A_STORY = ("Tell me a story about {a}.", "Please tell me a story about {a}.", "A story about {a}, please.",
                   "Do you know a story about {a}?", "I want a story about {a}.", "story about {a}")
ASK_FOR_ANY = ("Tell me a story.", "Please tell me a story.", "A story, please.", "I want a story.", "Another story!",
               "One more story, please.", "tell me a story")


def marked_stories(seed=SEED, count=N_STORIES):
    """-> stories as [(part, origin)], see Grammar.write_parts"""
    draw = random.Random(seed)
    return [GRAMMAR.write_parts("story", draw)[0] for _ in range(count)]


def text_of(parts):
    return "".join(part for part, _ in parts)


def stories(seed=SEED, count=N_STORIES):
    return [text_of(parts) for parts in marked_stories(seed, count)]


def held_out_stories():
    """Texts that the training text does not have, to measure perplexity on."""
    return stories(HELD_OUT_SEED, N_HELD_OUT)


def story_on_request(draw):
    """-> (question, story as parts)"""
    if draw.random() < 0.3:
        return draw.choice(ASK_FOR_ANY), GRAMMAR.write_parts("story", draw)[0]
    kind = draw.randrange(len(TABLES["kinds"]))
    return (draw.choice(ASK_FOR_A_STORY).format(a=TABLES["kinds"][kind]["a"]),
            GRAMMAR.write_parts("story", draw, {"kind": kind})[0])


def talk(draw, asked, n_turns):
    """-> [(question, answer as parts)]; asked: yields (question, answer)"""
    turns = []
    for _ in range(n_turns):
        if draw.random() < 0.06:
            turns.append(story_on_request(draw))
        else:
            question, answer = next(asked)
            turns.append((question, [(answer, FIXED)]))
    return turns


def make_tokenizer():
    draw = random.Random(SEED)
    asked = questions.training(draw)
    texts = stories(count=6_000) + [part for _ in range(12_000) for part in next(asked)]
    return Tokenizer(train(texts + ["user\nassistant\nsystem\n"] * 2_000, N_VOCAB))


def encode(tokenizer, parts, weights):
    """-> (ids, the weight of each): a token has the weight of the origin of its last character"""
    origins = [origin for part, origin in parts for _ in part]
    ids = tokenizer.encode(text_of(parts))
    out, at = [], 0
    for id in ids:
        at += tokenizer.n_characters(id)
        out.append(weights[origins[at - 1]])
    return ids, out


def encode_story(tokenizer, parts, weights=EQUAL):
    """-> (ids, weights)"""
    ids, out = encode(tokenizer, parts, weights)
    return [BOS] + ids + [EOS], [0] + out + [1]


def encode_talk(tokenizer, turns, weights=EQUAL):
    """-> (ids, weights): ChatML, as the template in the file writes it"""
    ids, out = [BOS], [0]
    newline = tokenizer.encode("\n")

    def say(part, part_weights=None):
        ids.extend(part)
        out.extend(part_weights or [0] * len(part))

    for question, answer in turns:
        say([IM_START] + tokenizer.encode("user\n" + question) + [IM_END] + newline)
        say([IM_START] + tokenizer.encode("assistant\n"))
        say(*encode(tokenizer, answer, weights))
        say([IM_END], [1])
        say(newline)
    say([EOS], [1])
    return ids, out
