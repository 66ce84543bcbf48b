"""Each rule about the form of notebooks names what breaks it, and nothing that keeps it."""

import nbformat
import pytest

from harmonics_lib.report.lint import breaches

OPENING = "# One\n\n**Question:** which? **Answer:** 0.5. Run time: a second."


def notebook(path, *cells, opening=OPENING):
    """Write a notebook of an opening, a badge, a cell for Colab, parameters, and (source, tags) of more cells."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_markdown_cell(opening), nbformat.v4.new_markdown_cell("badge")]
    made.cells[1].metadata.tags = ["badge"]
    for source, *tags in (("%pip install", "colab"), ("small = 0.5", "parameters"), ("print(small)",), *cells):
        kind = nbformat.v4.new_markdown_cell if "prose" in tags else nbformat.v4.new_code_cell
        made.cells.append(kind(source))
        made.cells[-1].metadata.tags = tags
    nbformat.write(made, path)
    return made


BROKEN = {
    "NB001": ["a = 1\n" * 21],
    "NB002": ["a = 1\n" * 11] * 4,
    "NB003": ["a = " + "1 + " * 22 + "1"],
    "NB004": [("word " * 151, "prose")],
    "NB005": [("An error of 0.25, typed, of {{01.mse:.2f}} and of $0.75$.", "prose")],
    "NB006": [],
    "NB007": [("unread = 1", "parameters")],
    "NB008": [("findings.claim()",)],
    "NB009": [],
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_names_what_breaks_it(rule, tmp_path):
    path = tmp_path / "01_one.ipynb"
    cells = [cell if isinstance(cell, tuple) else (cell,) for cell in BROKEN[rule]]
    made = notebook(path, *cells, opening=OPENING.replace("Run time", "Time") if rule == "NB006" else OPENING)
    if rule == "NB009":
        made.cells[4].execution_count = 1
        nbformat.write(made, path)
    assert {line.split(" of 01_one ")[0].split(" cell ")[0] for line in breaches(path)} == {rule}


def test_a_notebook_that_keeps_all_rules_is_not_named(tmp_path):
    findings = ("## Findings", "prose"), ("findings.claim()", "hide-input")
    notebook(tmp_path / "01_one.ipynb", ("- " + "word " * 151, "prose"), ("It is 0.5.", "prose"), *findings)
    assert list(breaches(tmp_path / "01_one.ipynb")) == []
