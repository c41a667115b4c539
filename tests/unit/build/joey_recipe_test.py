"""tools/joey: the grammar must explain what it writes and nothing that breaks its own facts; the examination is sealed;
the tokenizer loses nothing."""
import os
import random
import subprocess
import sys
import unittest

RECIPE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools", "joey")
sys.path.insert(0, RECIPE)
import grammar  # noqa: E402
import questions  # noqa: E402
import stories  # noqa: E402
import tokenizer  # noqa: E402


def written(seed, count):
    draw = random.Random(seed)
    return [stories.GRAMMAR.write("story", draw)[0] for _ in range(count)]


def explains(text):
    return stories.GRAMMAR.parse("story", text) == len(text) + 1


class Grammar(unittest.TestCase):
    def test_explains_what_it_writes(self):
        for text in written(11, 300):
            self.assertTrue(explains(text), text)

    def test_one_changed_word_is_found_where_it_stands(self):
        # A recalled word that is not the one said before: somebody else's name, pronoun, kind, thing or cure.
        draw = random.Random(12)
        n_changed = 0
        for _ in range(300):
            parts, _ = stories.GRAMMAR.write_parts("story", draw)
            recalled = [i for i, (part, origin) in enumerate(parts) if origin == grammar.RECALLED and part in NAMES]
            at = draw.choice(recalled)
            said = {part for part, _ in parts}
            other = draw.choice([name for name in NAMES if name not in said])
            changed = "".join(other if i == at else part for i, (part, _) in enumerate(parts))
            where = len("".join(part for part, _ in parts[:at]))
            self.assertFalse(explains(changed), changed)
            self.assertGreaterEqual(stories.GRAMMAR.parse("story", changed), where)
            n_changed += 1
        self.assertEqual(n_changed, 300)

    def test_refuses_mixed_up_facts(self):
        story = next(text for text in written(13, 500) if "fell into an empty well" in text)
        self.assertTrue(explains(story))
        self.assertFalse(explains(story.replace("a ladder", "a plank").replace("lowered it to the bottom",
                                                                              "laid it across the mud")))
        self.assertFalse(explains(story[:-1]))
        self.assertFalse(explains(story + " "))
        self.assertFalse(explains(""))

    def test_small(self):
        small = grammar.Grammar({"s": ["{a.x} {b.x}, {a.y}{@end}"], "end": [".", "!"]},
                                {"t": [{"x": "1", "y": "one"}, {"x": "2", "y": "two"}]}, {"a": "t", "b": "t"})
        self.assertEqual({small.write("s", random.Random(seed))[0] for seed in range(40)},
                         {"1 2, one.", "1 2, one!", "2 1, two.", "2 1, two!"})
        self.assertEqual(small.write("s", random.Random(1))[1], 2.0)  # one of two, the other one, one of two
        self.assertEqual([small.parse("s", text) for text in ("1 2, one.", "1 1, one.", "1 2, two!", "1 2, one")],
                         [10, 2, 5, 8])

    def test_sentences(self):
        self.assertEqual(stories.sentences('It fell. "Oh no!" cried Pip. "Why?" He ran.\n\nSo it ended.'),
                         ["It fell.", '"Oh no!" cried Pip.', '"Why?"', "He ran.", "So it ended."])


NAMES = [person["name"] for table in ("heroes", "friends") for person in stories.TABLES[table]]


class Questions(unittest.TestCase):
    def test_the_examination_is_sealed(self):
        subprocess.run([sys.executable, "-B", os.path.join(RECIPE, "questions.py")], check=True,
                       stdout=subprocess.DEVNULL)
        self.assertEqual(len(questions.held_out()), 100)


class Tokenizer(unittest.TestCase):
    def test_spells_every_text(self):
        made = tokenizer.Tokenizer(tokenizer.train(written(14, 200), 600))
        texts, scores, types = made.table()
        self.assertEqual((len(texts), len(scores), len(types)), (600, 600, 600))
        self.assertEqual(len(set(texts)), 600)
        for text in written(15, 50) + ["  two  spaces", "snow\u2603man", "4096 tokens", "\n\n", "don't", '"Oh," he said.']:
            data = b"".join(bytes([id - tokenizer.FIRST_BYTE]) if id < tokenizer.FIRST_PIECE
                            else texts[id].replace(tokenizer.SPACE, " ").encode() for id in made.encode(text))
            self.assertEqual(data.decode(), text)

    def test_prefers_the_first_merge(self):
        made = tokenizer.Tokenizer(["ab", "bc", "a", "b", "c"])
        first = tokenizer.FIRST_PIECE
        self.assertEqual(made.encode("abc"), [first, first + 4])
        self.assertEqual(tokenizer.Tokenizer(["bc", "ab", "a", "b", "c"]).encode("abc"), [first + 2, first])


if __name__ == "__main__":
    unittest.main()
