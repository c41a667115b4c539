"""tools/check_layers.py must pass a clean tree and name each kind of offence."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
import check_layers  # noqa: E402

CLEAN = {
    "LAYERS": "# a comment\nbase :\nmid : base\ntop : base mid  # another\n",
    "base/a.h": "#pragma once\n#include <vector>\n",
    "base/a.cpp": '#include "base/a.h"\n#include <sys/stat.h>\n',
    "mid/b.h": '#include "base/a.h"\n',
    "top/deep/c.cpp": '#include "mid/b.h"\n  #  include "base/a.h"\n',
}


class CheckLayers(unittest.TestCase):
    def problems(self, files=None):
        """What the check says of CLEAN with some files added or replaced."""
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**CLEAN, **(files or {})}.items():
                path = os.path.join(root, "src", name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            return check_layers.check(root)

    def assert_only(self, problems, *parts):
        self.assertEqual(len(problems), 1, problems)
        for part in parts:
            self.assertIn(part, problems[0])

    def test_clean_tree_passes(self):
        self.assertEqual(self.problems(), [])

    def test_forbidden_edge(self):
        self.assert_only(self.problems(files={"base/a.cpp": '\n#include "mid/b.h"\n'}),
                         "src/base/a.cpp:2", "base may not include mid")

    def test_edge_of_an_edge_is_not_an_edge(self):
        layers = "base :\nmid : base\ntop : mid\n"
        self.assert_only(self.problems(files={"LAYERS": layers}), "src/top/deep/c.cpp:2", "top may not include base")

    def test_include_without_a_folder(self):
        self.assert_only(self.problems(files={"base/a.cpp": '#include "a.h"\n'}), "does not start with a folder")

    def test_include_of_a_parent(self):
        self.assert_only(self.problems(files={"mid/b.cpp": '#include "../base/a.h"\n'}), "does not start with a folder")

    def test_include_of_a_missing_file(self):
        self.assert_only(self.problems(files={"mid/b.cpp": '#include "base/none.h"\n'}), "is not under src/")

    def test_own_header_in_angle_brackets(self):
        self.assert_only(self.problems(files={"base/a.cpp": "#include <mid/b.h>\n"}), "is ours")

    def test_folder_without_a_line(self):
        self.assert_only(self.problems(files={"new/d.cpp": "\n"}), "src/new: has sources, but no line")

    def test_line_without_a_folder(self):
        layers = CLEAN["LAYERS"] + "ghost : base\n"
        self.assert_only(self.problems(files={"LAYERS": layers}), "'ghost' is not a folder")

    def test_edge_to_nowhere(self):
        layers = CLEAN["LAYERS"].replace("mid : base", "mid : base ghost")
        self.assert_only(self.problems(files={"LAYERS": layers}), "'mid' names 'ghost'")

    def test_cycle(self):
        layers = CLEAN["LAYERS"].replace("base :", "base : top")
        self.assert_only(self.problems(files={"LAYERS": layers}), "a cycle", "base -> top -> base")

    def test_second_line_for_a_folder(self):
        self.assert_only(self.problems(files={"LAYERS": CLEAN["LAYERS"] + "base : mid\n"}), "has a line already")

    def test_file_outside_any_folder(self):
        self.assert_only(self.problems(files={"stray.cpp": "\n"}), "src/stray.cpp: stands in no folder")


if __name__ == "__main__":
    unittest.main()
