"""./dev over stand-ins for cmake, ctest and the package tools: what it passes on, prints where, and returns."""
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")

# Each stand-in appends its command line to $CALLS. FAIL names the one that fails.
TOOLS = {
    "cmake": """echo "noise from cmake"; echo "compiler says no" >&2
case "$*" in
    *--target*) target="$HOME/root/build/release/${!#}"
                printf '#!/bin/sh\\necho "${0##*/}|$PWD|$*"; exit 7\\n' > "$target"
                chmod +x "$target" ;;
esac""",
    "ctest": """mkdir -p "$HOME/root/build/release/Testing/Temporary"
printf '1/2 Test #1: A.a ... Passed\\n50%% tests passed, 1 tests failed out of 2\\n\\nTotal Test time\\n'
printf 'x_test.cpp:3: Skipped\\nno data\\n[  SKIPPED ] A.b\\nx_test.cpp:9: Skipped\\nno data\\n' \\
    > "$HOME/root/build/release/Testing/Temporary/LastTest.log\"""",
    "dpkg-query": """for package; do :; done
case " $MISSING " in
    *" $package "*) exit 1 ;;
    *" $package:arm64 "*) printf 'amd64 installed\\n' ;;
    *) printf 'amd64 installed\\narm64 installed\\n' ;;
esac""",
    "dpkg": "echo amd64",
    "apt-get": "echo noise from apt",
    "sudo": '"$@"',
}


class Dev(unittest.TestCase):
    def setUp(self):
        self.home = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        os.makedirs(os.path.join(self.home, "root"))
        os.makedirs(os.path.join(self.home, "bin"))
        os.makedirs(os.path.join(self.home, "else where"))
        self.dev = shutil.copy(os.path.join(ROOT, "dev"), os.path.join(self.home, "root"))
        shutil.copy(os.path.join(ROOT, "CMakePresets.json"), os.path.join(self.home, "root"))
        self.calls_path = os.path.join(self.home, "calls")
        for name, body in TOOLS.items():
            path = os.path.join(self.home, "bin", name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(f'#!/bin/bash\necho "{name} $*" >> "$CALLS"\n{body}\n[[ $FAIL != {name} ]]\n')
            os.chmod(path, 0o755)

    def run_dev(self, *arguments, **environment):
        env = {"HOME": self.home, "CALLS": self.calls_path, "FAIL": "", "MISSING": "", **environment,
               "PATH": os.path.join(self.home, "bin") + ":/usr/bin:/bin"}
        return subprocess.run([self.dev, *arguments], cwd=os.path.join(self.home, "else where"), env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def calls(self, name):
        with open(self.calls_path, encoding="utf-8") as file:
            return [line.strip() for line in file if line.startswith(name + " ")]

    def test_run_gives_the_program_its_arguments_folder_and_stdout(self):
        done = self.run_dev("run", "-m", "a b.gguf", "Once upon")
        self.assertEqual(done.stdout, f"wallaby|{self.home}/else where|run -m a b.gguf Once upon\n")
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 7)

    def test_other_verbs(self):
        self.assertTrue(self.run_dev("wallaby", "inspect", "m").stdout.endswith("|inspect m\n"))
        self.assertTrue(self.run_dev("bench", "-n", "3").stdout.startswith("engine_bench|"))
        unknown = self.run_dev("nonsense")
        self.assertEqual((unknown.returncode, unknown.stdout), (2, ""))
        self.assertIn("./dev setup", self.run_dev().stdout)

    def test_a_failed_build_is_reported_and_nothing_runs(self):
        self.run_dev("run")  # a binary of an earlier build is there
        done = self.run_dev("run", FAIL="cmake")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("compiler says no", done.stderr)
        self.assertIn("dev: the build failed", done.stderr)
        self.assertEqual(self.run_dev("test", FAIL="cmake").returncode, 1)
        self.assertNotEqual(self.run_dev("build", FAIL="cmake").returncode, 0)

    def test_configures_once(self):
        for _ in range(3):
            self.run_dev("run")
        self.assertEqual(len([call for call in self.calls("cmake") if "--preset" in call]), 1)
        self.run_dev("build", "asan")
        self.assertIn("--preset asan", self.calls("cmake")[-2])

    def test_a_failed_configuration_is_tried_again(self):
        self.run_dev("run", FAIL="cmake")
        self.run_dev("run")
        self.assertEqual(len([call for call in self.calls("cmake") if "--preset" in call]), 2)

    def test_installs_for_another_architecture_beside_this_ones(self):
        if os.uname().machine != "x86_64":
            self.skipTest("only an x86-64 compiles for ARM")
        self.run_dev("setup", MISSING="libfmt-dev:arm64")
        self.assertEqual(self.calls("apt-get"),
                         ["apt-get update -q", "apt-get install -y -q --no-install-recommends libfmt-dev:arm64"])
        self.assertIn("dpkg --add-architecture arm64", self.calls("dpkg"))

    def test_installs_what_is_missing_and_no_more(self):
        self.run_dev("run")
        self.assertEqual(self.calls("apt-get"), [])
        done = self.run_dev("run", MISSING="ccache libcli11-dev clang-tidy")
        self.assertEqual(self.calls("apt-get"),
                         ["apt-get update -q", "apt-get install -y -q --no-install-recommends ccache libcli11-dev"])
        self.assertNotIn("noise", done.stdout)
        self.run_dev("setup", MISSING="clang-tidy")
        self.assertEqual(self.calls("apt-get")[-1], "apt-get install -y -q --no-install-recommends clang-tidy")
        self.assertNotIn("dpkg --add-architecture arm64", self.calls("dpkg"))
        failed = self.run_dev("run", MISSING="ccache", FAIL="apt-get")
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))

    def test_the_tests_summary_comes_last(self):
        done = self.run_dev("test", "-R", "Some")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.splitlines(), ["1/2 Test #1: A.a ... Passed", "skipped: 2 tests: no data",
                                                    "50% tests passed, 1 tests failed out of 2", "", "Total Test time"])
        self.assertTrue(self.calls("ctest")[0].endswith("-R Some"))
        self.assertNotEqual(self.run_dev("test", FAIL="ctest").returncode, 0)

    def test_fuzzing_holds_every_target_to_its_floor(self):
        def write(path, text):
            path = os.path.join(self.home, "root", path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o755)

        for name in ("one", "two_more"):
            write(f"tests/fuzz/{name}_fuzz.cpp", "")
            write(f"tests/fuzz/corpus/{name}/seed", name)
            write(f"build/fuzz/{name}_fuzz", """#!/bin/bash
echo "fuzz $*" >> "$CALLS"
echo "#1 DONE cov: $EDGES ft: 9"; echo "stat::number_of_executed_units: 5"; [[ $FAIL != fuzz ]]
""")
        write("tests/fuzz/corpus/two/seed", "of the first word")
        write("tests/fuzz/coverage_floor", "# comment\none 100\ntwo_more 90\n")
        done = self.run_dev("fuzz", EDGES="100", FUZZ_SECONDS="3")
        self.assertEqual(done.stdout, "one: 100 edges from the corpus (floor 100), 100 after 5 runs, no finding\n"
                                      "two_more: 100 edges from the corpus (floor 90), 100 after 5 runs, no finding\n")
        self.assertEqual(done.returncode, 0)
        replay, run = self.calls("fuzz")[2:]
        self.assertIn("-runs=0", replay)
        self.assertIn("-max_total_time=3", run)
        for call in (replay, run):
            self.assertIn("/corpus/two_more ", call + " ")
            self.assertIn("/corpus/two ", call + " ")
        below = self.run_dev("fuzz", EDGES="99")
        self.assertEqual((below.returncode, below.stdout), (1, ""))
        self.assertIn("one_fuzz reaches 99 edges, below its floor of 100", below.stderr)
        write("tests/fuzz/coverage_floor", "two_more 90\n")
        without = self.run_dev("fuzz", EDGES="100")
        self.assertEqual(without.returncode, 1)
        self.assertIn("one_fuzz has no floor: its corpus reaches 100 edges", without.stderr)
        write("tests/fuzz/coverage_floor", "one 1\ntwo_more 1\n")
        found = self.run_dev("fuzz", EDGES="100", FAIL="fuzz")
        self.assertEqual(found.returncode, 1)
        self.assertIn("found something", found.stderr)


if __name__ == "__main__":
    unittest.main()
