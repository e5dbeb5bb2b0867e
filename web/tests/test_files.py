"""The files of the console: their size, what they must not contain, and that no error code lacks a text."""

import re
import unittest
from pathlib import Path

WEB = Path(__file__).resolve().parent.parent
SERVED = [WEB / "index.html", WEB / "config.json", *sorted((WEB / "console").rglob("*.*"))]
BYTES_MAX = 150_000
# Ways to turn text into markup or code.
UNSAFE = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|\bsetHTML")


class Files(unittest.TestCase):
    def test_they_are_small(self):
        self.assertLess(sum(file.stat().st_size for file in SERVED), BYTES_MAX)

    def test_nothing_can_become_markup_or_code(self):
        for file in SERVED:
            self.assertIsNone(UNSAFE.search(file.read_text()), file)
        page = (WEB / "index.html").read_text()
        self.assertIsNone(re.search(r"<style|<script(?! type=\"module\" src=\")|\son\w+=|\sstyle=", page))

    def test_every_error_code_of_the_contract_has_a_text(self):
        contract = (WEB.parent / "openapi.yaml").read_text()
        lists = re.findall(r"\bcode:\s*\{ enum: \[([^\]]*)\]", contract)
        lists += re.findall(r"\bcode:\s*\n\s*enum:\n((?:\s*- \w+\n)+)", contract)
        codes = {code for text in lists for code in re.findall(r"\w+", text)}
        codes |= set(re.findall(r"\bcode: (?:\{ const: )?([a-z_]+)", contract))
        self.assertGreater(len(codes), 35)
        texts = set(re.findall(r"^  ([a-z_]+): ", (WEB / "console" / "errors.js").read_text(), re.MULTILINE))
        self.assertEqual(codes - texts, set())
        self.assertEqual(texts - codes, set(), "texts for codes that do not exist")
