"""Rules on the form of the notebooks; ``python -m harmonics_lib.report.lint`` lists the violations.

Cells are numbered from 0 among all cells of a notebook.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import nbformat
from nbformat import NotebookNode

from harmonics_lib.report.prose import repository

LINES, MEDIAN, WIDTH, WORDS = 20, 10, 88, 150
#: Decimals in prose that are in no code cell: a source states them, or they follow from the text.
QUOTED = {
    "02_spectral_leakage": {"0.09"},
    "04_seq2seq_gru": {"1.8", "2.3"},
    "05_curriculum": {"0.45"},
    "07_optimisers": {"0.003", "0.01"},
    "08_growing_horizons": {"0.17", "0.25", "0.33", "0.40", "3.5"},
    "09_state_space": {"0.17"},
}


@dataclass(frozen=True)
class Notebook:
    """A notebook's name and cells."""

    name: str
    cells: list[NotebookNode]

    @property
    def code(self) -> list[tuple[int, NotebookNode]]:
        """Code cells with their places."""
        return [(place, cell) for place, cell in enumerate(self.cells) if cell.cell_type == "code"]

    def nodes(self) -> Iterator[ast.AST]:
        """All nodes of the code's syntax trees, without shell commands."""
        for _, cell in self.code:
            yield from ast.walk(ast.parse(re.sub(r"(?m)^\s*[!%].*$", "pass", cell.source)))

    @property
    def paragraphs(self) -> list[tuple[int, str]]:
        """Paragraphs up to the bibliography with their cells, without placeholders, formulas, code and addresses."""
        found = []
        for place, cell in enumerate(self.cells):
            if cell.cell_type == "markdown":
                prose, _, bibliography = cell.source.partition("## Bibliography")
                for other in (r"\{\{[^{}]*\}\}", r"```.*?```", r"`[^`]*`", r"\$\$.*?\$\$", r"\$[^$]*\$"):
                    prose = re.sub(other, "…", prose, flags=re.DOTALL)
                found += [(place, text) for text in re.split(r"\n\s*\n", re.sub(r"\]\([^)]*\)", "]", prose))]
                if bibliography:
                    break
        return found


Breaches = Iterator[tuple[int, str]]  # cell and message


def length_of_cells(notebook: Notebook) -> Breaches:
    for place, cell in notebook.code:
        if (lines := len(cell.source.splitlines())) > LINES:
            yield place, f"has {lines} lines (at most {LINES})"


def median_of_cells(notebook: Notebook) -> Breaches:
    lines = median(len(cell.source.splitlines()) for _, cell in notebook.code)
    if lines > MEDIAN:
        yield 0, f"opens a notebook whose median cell has {lines:g} lines (at most {MEDIAN})"


def width_of_lines(notebook: Notebook) -> Breaches:
    for place, cell in notebook.code:
        if (width := max(map(len, cell.source.splitlines()), default=0)) > WIDTH:
            yield place, f"has a line of {width} characters (at most {WIDTH})"


def length_of_paragraphs(notebook: Notebook) -> Breaches:
    for place, text in notebook.paragraphs:
        is_list = re.match(r"\s*([*|-] ?|\d+\.)", text)  # a list or a table
        if not is_list and (words := len(text.split())) > WORDS:
            yield place, f"has a paragraph of {words} words (at most {WORDS}): {' '.join(text.split()[:8])} …"


def numbers_in_prose(notebook: Notebook) -> Breaches:
    """Decimals in the text are placeholders for published numbers, settings in the code, or quoted."""
    constants = [node.value for node in notebook.nodes() if isinstance(node, ast.Constant)]
    settings = {float(value) for value in constants if isinstance(value, (int, float))}
    for place, text in notebook.paragraphs:
        for number in re.findall(r"(?<![\w.])\d+\.\d+(?:e-?\d+)?|\b\d+e-\d+", text):
            if float(number) not in settings and number not in QUOTED.get(notebook.name, ()):
                yield place, f"holds the number {number}, which is typed by hand"


def opening(notebook: Notebook) -> Breaches:
    text = notebook.cells[0].source
    for part in ("# ", "**Question:**", "**Answer:**", "Run time:"):
        if part not in text:
            yield 0, f"lacks {part.strip()!r}"
    tags = [set(cell.metadata.get("tags", [])) for cell in notebook.cells]
    for place, tag in ((1, "badge"), (2, "colab")):
        if len(tags) <= place or tag not in tags[place]:
            yield place, f"lacks the tag {tag!r}"


def parameters(notebook: Notebook) -> Breaches:
    """Parameters that papermill may set are used in the code."""
    for place, cell in notebook.code:
        if "parameters" in cell.metadata.get("tags", []):
            named = {target.id for line in ast.parse(cell.source).body for target in line.targets}
            read = {n.id for n in notebook.nodes() if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            for name in sorted(named - read):
                yield place, f"sets {name}, which nothing reads"


def claims_at_the_end(notebook: Notebook) -> Breaches:
    titles = [place for place, cell in enumerate(notebook.cells) if re.search("^## Findings", cell.source, re.M)]
    for place, cell in notebook.code:
        if re.search(r"findings\.(claim|value)\(", cell.source):
            if not titles or place < titles[0]:
                yield place, "states findings before the section Findings"
            if "hide-input" not in cell.metadata.get("tags", []):
                yield place, "states findings without the tag 'hide-input'"


def outputs(notebook: Notebook) -> Breaches:
    for place, cell in notebook.code:
        if cell.outputs or cell.execution_count is not None:
            yield place, "has outputs; sources are committed without"


RULES = {
    "NB001": length_of_cells,
    "NB002": median_of_cells,
    "NB003": width_of_lines,
    "NB004": length_of_paragraphs,
    "NB005": numbers_in_prose,
    "NB006": opening,
    "NB007": parameters,
    "NB008": claims_at_the_end,
    "NB009": outputs,
}


def breaches(path: Path) -> Iterator[str]:
    """A sentence for each violation of a rule in a notebook."""
    notebook = Notebook(path.stem, nbformat.read(path, as_version=4).cells)
    for name, rule in RULES.items():
        for place, what in rule(notebook):
            yield f"{name} cell {place} of {path.stem} {what}"


if __name__ == "__main__":
    found = [line for path in sorted((repository() / "notebooks").glob("*.ipynb")) for line in breaches(path)]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
