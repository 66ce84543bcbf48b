"""README, notebooks and package lists say the same, and what the results say."""

import ast
import re
from importlib.metadata import version
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from harmonics_lib import load_metrics, prose
from harmonics_lib.prose import tomllib

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lock():
    return [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if line.strip()]


def test_the_lock_pins_every_dependency_within_its_range():
    pinned = {}
    for requirement in lock():
        assert [s.operator for s in requirement.specifier] == ["=="], f"{requirement} is not pinned"
        pinned.setdefault(requirement.name.lower(), []).append(next(iter(requirement.specifier)).version)
    for dependency in map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["site"]):
        versions = pinned.get(dependency.name.lower())
        assert versions, f"{dependency.name} is missing from requirements.lock; run make lock"
        assert all(v in dependency.specifier for v in versions), f"{dependency} is not met by {versions}"


def test_this_environment_is_the_locks():
    for requirement in lock():
        if requirement.marker is None or requirement.marker.evaluate():
            assert version(requirement.name).split("+")[0] in requirement.specifier


def test_conda_takes_the_same_set():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    names = {re.match(r"[\w-]+", entry)[0]: entry for entry in conda}
    assert set(names) == {"python", "pip", "make"}
    assert SpecifierSet(names["python"].removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert pip == ["-r requirements.lock", "-e ."]


def test_prose_quotes_the_published_numbers():
    for path, text in prose.render_prose().items():
        assert path.read_text() == text, f"{path.name} has drifted from results/metrics; run make report"


def test_the_readme_links_every_notebook_and_names_no_other_repository():
    readme = (ROOT / "README.md").read_text()
    for path in NOTEBOOKS:
        assert f"](results/notebooks/{path.name})" in readme
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"] == prose.repository_url()


def test_the_overview_holds_every_claim_as_it_was_last_measured():
    overview = nbformat.read(ROOT / "results" / "notebooks" / "00_overview.ipynb", as_version=4)
    outputs = [output for cell in overview.cells for output in cell.get("outputs", [])]
    shown = [output.get("data", {}).get("text/markdown") for output in outputs]
    assert prose.findings_table() in shown, "the overview shows other findings; run make report NB=00"
    for path in NOTEBOOKS[1:]:
        for claim in load_metrics(path.stem)["claims"]:
            assert f"| {claim['sentence']} |" in prose.findings_table()


def test_badges_and_colab_cells_name_the_repository():
    for path, text in prose.render_badges().items():
        assert path.read_text() == text, f"{path.name} names another repository; run make badges"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    """The shape that every notebook keeps."""

    @pytest.fixture
    def cells(self, path):
        return nbformat.read(path, as_version=4).cells

    def code(self, cells, tag=None):
        return [c for c in cells if c.cell_type == "code" and (tag is None or tag in c.metadata.get("tags", []))]

    def test_is_committed_without_outputs(self, cells):
        assert all(not cell.outputs and cell.execution_count is None for cell in self.code(cells))

    def test_opens_with_question_answer_run_time_and_badge(self, cells):
        opening = cells[0].source
        assert opening.startswith("# ") and "**Question:**" in opening and "**Answer:**" in opening
        assert "Run time:" in opening
        assert re.search(r"\*\*Answer:\*\*.*\d", opening, re.DOTALL), "the answer has no number"
        assert "badge" in cells[1].metadata.tags

    def test_parameters_are_literals_that_are_read_later(self, cells):
        (parameters,) = self.code(cells, "parameters")
        later = "\n".join(c.source for c in self.code(cells) if c is not parameters and "%pip" not in c.source)
        names = {node.id for node in ast.walk(ast.parse(later)) if isinstance(node, ast.Name)}
        for statement in ast.parse(parameters.source).body:
            assert isinstance(statement, ast.Assign)
            ast.literal_eval(statement.value)
            assert statement.targets[0].id in names, f"{statement.targets[0].id} is never read"

    def test_the_colab_cell_comes_before_the_imports_and_runs_nowhere_else(self, cells):
        (setup,) = self.code(cells, "colab")
        assert cells.index(setup) == 2
        assert 'if "google.colab" in sys.modules' in setup.source

    def test_cells_are_short(self, cells):
        assert max(len(cell.source.splitlines()) for cell in self.code(cells)) <= 20

    def test_claims_are_shown_checked_and_saved(self, cells):
        assert any("findings.table()" in cell.source for cell in self.code(cells, "nbval-check-output"))
        assert any("findings.save()" in cell.source for cell in self.code(cells))

    def test_is_published_as_it_stands(self, path, cells):
        executed = nbformat.read(ROOT / "results" / "notebooks" / path.name, as_version=4).cells
        assert [c.source for c in executed] == [c.source for c in cells], "run make report"


def test_the_readmes_examples_run(capsys):
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(examples) == 4
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})
    assert "mine" in capsys.readouterr().out


def test_the_grid_table_marks_the_best_of_each_column_and_never_the_oracle():
    rows = [(prose.ORACLE, 0.0, 1e-20), ("a", 0.0, 3e-13), ("b", 0.0, 2e-14), ("c", 0.0, 0.5)]
    rows += [(prose.ORACLE, 0.1, 0.01), ("a", 0.1, 0.3), ("b", 0.1, 0.2), ("c", 0.1, 0.4)]
    grid = pd.DataFrame(rows, columns=["method", "noise_std", "mse"]).assign(components=5)
    assert prose.grid_table(grid).splitlines() == [
        "| components | 5 | 5, noise 0.1 |",
        "|---|---|---|",
        "| known periods | < 1e-12 | 1.0e-02 |",
        "| b | **< 1e-12** | **2.0e-01** |",
        "| a | **< 1e-12** | 3.0e-01 |",
        "| c | 5.0e-01 | 4.0e-01 |",
    ]
