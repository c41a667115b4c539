"""The built-in model's file is the one whose checksum is in the tree."""
import hashlib
import os
import unittest

ASSETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "assets")


class Joey(unittest.TestCase):
    def test_checksum(self):
        with open(os.path.join(ASSETS, "joey.gguf"), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        with open(os.path.join(ASSETS, "joey.gguf.sha256"), encoding="ascii") as file:
            self.assertEqual(file.read(), f"{digest}  joey.gguf\n")  # what `sha256sum -c` reads


if __name__ == "__main__":
    unittest.main()
