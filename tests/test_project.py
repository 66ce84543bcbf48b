"""README, notebooks and package lists say the same, and what the results say."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path
from unicodedata import normalize
from zipfile import ZipFile

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import harmonics_lib
from harmonics_lib import Grid, __version__
from harmonics_lib.evaluation import grid as evaluation
from harmonics_lib.published.networks import NETWORKS
from harmonics_lib.published.tables import load_metrics
from harmonics_lib.report import prose
from harmonics_lib.report.prose import tomllib

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MONTHS = ("January",)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


EXTRAS = PROJECT["optional-dependencies"]
GROUPS = PYPROJECT["dependency-groups"]
OTHERS = {"peers", "sktime", "statsforecast", "darts"}  # other libraries, in an environment of their own
TEST = [*(extra for name, extra in EXTRAS.items() if name not in OTHERS), GROUPS["test"]]  # what make test installs
REPORT = [*TEST, GROUPS["install"], GROUPS["lint"], GROUPS["lab"]]


def requirements(lines):
    """Requirements under the names that packages have in every list, however they are written here."""
    for requirement in map(Requirement, lines):
        requirement.name = canonicalize_name(requirement.name)
        yield requirement


def lock(name="requirements.lock"):
    return list(requirements(line for line in (ROOT / name).read_text().splitlines() if line.strip()))


def direct(*needed):
    """What the project asks for itself, without what its dependencies ask for."""
    return [one for one in requirements(chain(PROJECT["dependencies"], *needed)) if one.name != PROJECT["name"]]


def applies(requirement):
    return requirement.marker is None or requirement.marker.evaluate()


@pytest.mark.parametrize(
    ("name", "needed"), [("requirements.lock", REPORT), ("requirements-peers.lock", [EXTRAS["peers"]])]
)
def test_the_lock_pins_every_dependency_within_its_range(name, needed):
    pinned = {}
    for requirement in lock(name):
        assert [s.operator for s in requirement.specifier] == ["=="], f"{requirement} is not pinned"
        pinned.setdefault(requirement.name, []).append(next(iter(requirement.specifier)).version)
    for dependency in direct(*needed):
        versions = pinned.get(dependency.name)
        assert versions, f"{dependency.name} is missing from {name}; run make lock"
        assert all(v in dependency.specifier for v in versions), f"{dependency} is not met by {versions}"


def test_only_make_peers_needs_its_libraries():
    """… and their versions: the lock of the report has none of them, and no other target installs them."""
    peers = {one.name for one in requirements(EXTRAS["peers"])} - {"numba", "pytest", "scikit-learn"}  # ours, too
    assert not peers & {requirement.name for requirement in lock()}
    installed = re.findall(r"^(\S.*):.*\n(?:\t.*\n)*?\t.*\[peers\]", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert installed == ["build/peers/ready"]


def test_this_environment_is_the_locks():
    installed = {canonicalize_name(one.metadata["Name"]): Version(one.version).public for one in distributions()}
    locked = {one.name: one.specifier for one in filter(applies, lock())}
    other = {name for name in installed.keys() & locked if installed[name] not in locked[name]}
    assert not other, [f"{name}{locked[name]} is in requirements.lock, {installed[name]} installed" for name in other]
    assert {one.name for one in filter(applies, direct(*TEST))} <= installed.keys()


def test_importing_the_library_loads_nothing_that_draws_or_makes_tables():
    """… and costs at most a second of processor time beyond PyTorch, on a machine that may be slow: here, 0.04."""
    script = (
        "import sys, time, torch; begun = time.process_time(); import harmonics_lib; "
        "print(time.process_time() - begun, *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, *modules = done.stdout.split()
    assert not {"matplotlib", "IPython", "pandas", "scipy", "papermill", "wandb", "sklearn"} & set(modules)
    assert float(seconds) <= 1


def test_the_wheel_holds_the_networks_that_are_offered_by_name_and_types_and_is_small(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = ZipFile(wheel).namelist()
    assert {Path(name).parent.name for name in files if name.endswith("weights.safetensors")} == set(NETWORKS)
    assert "harmonics_lib/py.typed" in files
    assert wheel.stat().st_size <= 5e6


def test_conda_installs_what_the_report_is_built_and_worked_on_with():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = {re.match(r"[\w-]+", entry)[0]: entry for entry in environment["dependencies"] if isinstance(entry, str)}
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert {"python", "pip", "make"} <= conda.keys()
    (python,) = re.findall(r"^python=(3\.\d+)$", conda["python"])
    assert python in SpecifierSet(PROJECT["requires-python"])
    named = {one.name for one in requirements(line for line in pip if not line.startswith("-"))}
    assert {"jupyterlab", "nbval", "papermill", "wandb"} <= named <= {requirement.name for requirement in lock()}
    (extras,) = re.findall(r"^-e \.\[(.*)\]$", "\n".join(pip), re.MULTILINE)
    assert {"report", "tracking"} <= set(extras.split(","))
    assert "-c requirements.lock" in pip


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_make_uses_the_active_environment_where_this_checkout_is_installed_and_no_other(variable, tmp_path):
    checkout, active = tmp_path / "a checkout", tmp_path / "an environment"
    checkout.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, checkout)
    record = active / "lib/python3.11/site-packages/harmonics_lib-0.1.0.dist-info/direct_url.json"
    record.parent.mkdir(parents=True)

    def commands(*arguments):
        environment = {"PATH": os.environ["PATH"], variable: str(active), "CONDA_DEFAULT_ENV": "harmonics"}
        command = ["make", "--dry-run", "-C", checkout, "setup", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert str(active) not in commands() and ".venv/bin/python" in commands()
    record.write_text(json.dumps({"url": (tmp_path / "another").as_uri(), "dir_info": {"editable": True}}))
    assert str(active) not in commands()
    record.write_text(json.dumps({"url": checkout.as_uri(), "dir_info": {"editable": True}}))
    assert str(active) in commands() and ".venv" not in commands()
    assert str(active) not in (named := commands("VENV=third")) and "third/bin/python" in named


def test_published_prose_is_the_sources_with_the_published_numbers():
    for path, text in prose.render_prose().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} has drifted; run make report"
        assert not re.search(r"\{\{\w+\.", text), f"{path.name} holds a placeholder that is none"


def test_the_readme_links_every_notebook_and_names_no_other_repository():
    readme = (ROOT / "README.md").read_text()
    for path in NOTEBOOKS:
        assert f"](results/notebooks/{path.name})" in readme
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"] == prose.repository_url()


def test_the_version_that_is_cited_is_that_of_the_package():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_the_overview_holds_every_claim_as_it_was_last_measured():
    overview = nbformat.read(ROOT / "results" / "notebooks" / "00_overview.ipynb", as_version=4)
    outputs = [output for cell in overview.cells for output in cell.get("outputs", [])]
    shown = [output.get("data", {}).get("text/markdown") for output in outputs]
    assert prose.findings_table() in shown, "the overview shows other findings; run make report NB=00"
    for path in NOTEBOOKS[1:]:
        for claim in load_metrics(path.stem)["claims"]:
            assert f"| {claim['sentence']} |" in prose.findings_table()


def test_every_source_that_is_cited_is_in_the_bibliography():
    overview = nbformat.read(ROOT / "notebooks" / "00_overview.ipynb", as_version=4)
    (bibliography,) = [cell.source for cell in overview.cells if "## Bibliography" in cell.source]
    texts = [path.read_text() for path in (ROOT / "harmonics_lib").rglob("*.py")]
    texts += [cell.source for path in NOTEBOOKS for cell in nbformat.read(path, as_version=4).cells]
    cited = re.compile(r"([A-Z][\w-]+)(?:,? (?:and )?[A-Z][\w-]+)*(?: et al\.)?,? \(?((?:1[89]|20)\d\d)\b")
    for surname, year in {found for text in texts for found in cited.findall(text.replace(bibliography, ""))}:
        entries = [
            line for line in bibliography.splitlines() if year in line and unaccented(surname) in unaccented(line)
        ]
        assert entries or surname in MONTHS, f"{surname} ({year}) is cited and not in the bibliography"


def unaccented(text):
    return normalize("NFKD", text).encode("ascii", "ignore").decode()


def test_badges_and_colab_cells_name_the_repository():
    for path, text in prose.render_badges().items():
        assert path.read_text() == text, f"{path.name} names another repository; run make badges"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    """What every notebook promises; its form is a matter of harmonics_lib.report.lint."""

    @pytest.fixture
    def cells(self, path):
        return nbformat.read(path, as_version=4).cells

    def code(self, cells, tag=None):
        return [c for c in cells if c.cell_type == "code" and (tag is None or tag in c.metadata.get("tags", []))]

    def test_claims_are_shown_checked_and_saved(self, cells):
        assert any("findings.table()" in cell.source for cell in self.code(cells, "nbval-check-output"))
        assert any("findings.save()" in cell.source for cell in self.code(cells))

    def test_shows_no_figure_that_is_not_published_and_described(self, path):
        executed = nbformat.read(ROOT / "results" / "notebooks" / path.name, as_version=4).cells
        for output in (output for cell in executed for output in cell.get("outputs", [])):
            for kind in {"image/png", "image/gif"} & set(output.get("data", {})):
                assert "figure" in output.metadata[kind], "a figure that a cell left open is shown a second time"

    def test_is_published_as_it_stands(self, path, cells):
        executed = nbformat.read(ROOT / "results" / "notebooks" / path.name, as_version=4).cells
        assert [c.id for c in executed] == [c.id for c in cells], "run make report"
        assert [c.source for c in self.code(executed)] == [c.source for c in self.code(cells)], "run make report"


PAGES = [path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if ".in" not in path.suffixes]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_examples_of_the_documents_run(path, monkeypatch):
    """… on a grid of four cells of 20 signals: that of the example takes a minute."""
    monkeypatch.chdir(ROOT)
    small = partial(Grid, components=(1, 10), noise_std=(0.0, 0.1), integer_periods=(True,), size=20)
    monkeypatch.setattr(evaluation, "Grid", small)
    names = {}  # later examples go on with what earlier ones made
    for example in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        exec(compile(example, path.name, "exec"), names)


def test_every_public_name_has_a_place_in_the_documentation():
    page = (ROOT / "docs" / "api.md").read_text()
    documented = re.findall(r"^\.\. auto\w+:: harmonics_lib\.(?!adapters)(?:[\w.]+\.)?(\w+)$", page, re.MULTILINE)
    assert sorted(documented) == sorted(harmonics_lib.__all__)
