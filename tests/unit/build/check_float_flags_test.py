"""tools/check_float_flags.py must pass clean entries and name each forbidden flag."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
import check_float_flags  # noqa: E402


def entry(flags):
    return {"directory": "/b", "file": "/s/a.cpp", "command": f"g++ -O3 {flags} -c /s/a.cpp -o a.o"}


class CheckFloatFlags(unittest.TestCase):
    def test_clean_entries_pass(self):
        self.assertEqual(check_float_flags.check_entry(entry("-ffp-contract=off -mavx2 -mfma")), [])
        listed = {"file": "/s/a.cpp", "arguments": ["g++", "-ffp-contract=off", "-c", "/s/a.cpp"]}
        self.assertEqual(check_float_flags.check_entry(listed), [])

    def test_missing_contraction_flag(self):
        self.assertEqual(check_float_flags.check_entry(entry("")), ["/s/a.cpp: lacks -ffp-contract=off"])

    def test_the_last_contraction_flag_counts(self):
        problems = check_float_flags.check_entry(entry("-ffp-contract=off -ffp-contract=fast"))
        self.assertEqual(problems, ["/s/a.cpp: is compiled with -ffp-contract=fast"])

    def test_every_forbidden_flag(self):
        for flag in ("-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-mrecip", "-mrecip=all",
                     "-fassociative-math", "-freciprocal-math", "-ffinite-math-only", "-fno-signed-zeros", "-mdaz-ftz"):
            with self.subTest(flag):
                problems = check_float_flags.check_entry(entry(f"-ffp-contract=off {flag}"))
                self.assertEqual(problems, [f"/s/a.cpp: is compiled with {flag}"])

    def test_database(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "compile_commands.json")
            for entries, n_problems in (([], 1), ([entry("-ffp-contract=off")], 0),
                                        ([entry("-ffp-contract=off"), entry("-Ofast")], 2)):
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(entries, file)
                problems, count = check_float_flags.check(path)
                self.assertEqual((len(problems), count), (n_problems, len(entries)))


if __name__ == "__main__":
    unittest.main()
