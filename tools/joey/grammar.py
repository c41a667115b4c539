"""A grammar with memory: it writes texts and parses them back.

A rule is a list of alternatives, all equally likely. In an alternative

    {@rule}       stands for an alternative of another rule;
    {var.field}   for a field of the row that `var` is bound to: the first mention in a text chooses the row from the
                  variable's table, every later mention must agree; variables of one table are never bound to one row;
    {var}         for the row itself, in a table of plain words;
    {=table}      for a row of a table of plain words, chosen afresh.

So the parser is the proof that a text is consistent: a hero keeps name, pronoun and kind, a rope gets out of a pit
whoever fell in. Nothing is shared between writer and parser but the rules and the tables.
"""

import re
from math import log2

FIXED, CHOSEN, RECALLED = range(3)

SLOT = re.compile(r"\{([^}]+)\}")


def split(text):
    """'a {b.c} d' -> [('text', 'a '), ('var', 'b', 'c'), ('text', ' d')]"""
    items = []
    for number, part in enumerate(SLOT.split(text)):
        if number % 2 == 0:
            if part:
                items.append(("text", part))
        elif part[0] == "@":
            items.append(("rule", part[1:]))
        elif part[0] == "=":
            items.append(("word", part[1:]))
        else:
            variable, _, field = part.partition(".")
            items.append(("var", variable, field))
    return tuple(items)


class Grammar:
    """rules: name -> [alternative]; tables: name -> [row], a row being a str or a dict; variables: name -> table"""

    def __init__(self, rules, tables, variables):
        self.rules = {name: [split(text) for text in texts] for name, texts in rules.items()}
        self.tables = tables
        self.variables = variables

    def rows(self, variable, bound):
        """The rows that `variable` may still take."""
        table = self.variables[variable]
        taken = {row for other, row in bound.items() if self.variables[other] == table}
        return [row for row in range(len(self.tables[table])) if row not in taken]

    def write(self, rule, random, bound=None):
        """-> (text, bits): a text, and the information of the choices that made it, -log2 of their probability"""
        parts, bits = self.write_parts(rule, random, bound)
        return "".join(part for part, _ in parts), bits

    def write_parts(self, rule, random, bound=None):
        """-> ([(part, origin)], bits): as `write`; origin is FIXED, CHOSEN (a word that nothing before it says) or
        RECALLED (a word that an earlier one says)"""
        bound = {} if bound is None else dict(bound)
        recalled = set()
        parts = []
        bits = 0.0

        def choose(options):
            nonlocal bits
            bits += log2(len(options))
            return options[random.randrange(len(options))]

        def expand(items):
            for item in items:
                if item[0] == "text":
                    parts.append((item[1], FIXED))
                elif item[0] == "rule":
                    expand(choose(self.rules[item[1]]))
                elif item[0] == "word":
                    parts.append((choose(self.tables[item[1]]), CHOSEN))
                else:
                    variable, field = item[1:]
                    if variable not in bound:
                        bound[variable] = choose(self.rows(variable, bound))
                    word = _word(self.tables[self.variables[variable]][bound[variable]], field)
                    parts.append((word, RECALLED if variable in recalled else CHOSEN))
                    recalled.add(variable)

        expand((("rule", rule),))
        return parts, bits

    def parse(self, rule, text):
        """-> how many characters of `text` some derivation explains; len(text) + 1 when one explains it all"""
        furthest = 0

        def match(items, at, bound):
            """Yields every (position, binding) at which `items`, begun at `at`, can end."""
            nonlocal furthest
            furthest = max(furthest, at)
            if not items:
                yield at, bound
                return
            item, rest = items[0], items[1:]
            if item[0] == "text":
                if text.startswith(item[1], at):
                    yield from match(rest, at + len(item[1]), bound)
                else:
                    furthest = max(furthest, at + _common(item[1], text, at))
            elif item[0] == "rule":
                for alternative in self.rules[item[1]]:
                    yield from match(alternative + rest, at, bound)
            elif item[0] == "word":
                for word in self.tables[item[1]]:
                    if text.startswith(word, at):
                        yield from match(rest, at + len(word), bound)
            else:
                variable, field = item[1:]
                table = self.tables[self.variables[variable]]
                rows = [bound[variable]] if variable in bound else self.rows(variable, bound)
                for row in rows:
                    word = _word(table[row], field)
                    if text.startswith(word, at):
                        yield from match(rest, at + len(word), bound if variable in bound else {**bound, variable: row})

        for at, _ in match((("rule", rule),), 0, {}):
            if at == len(text):
                return len(text) + 1
        return furthest


def _word(row, field):
    return row[field] if field else row


def _common(expected, text, at):
    count = 0
    while count < len(expected) and at + count < len(text) and expected[count] == text[at + count]:
        count += 1
    return count
