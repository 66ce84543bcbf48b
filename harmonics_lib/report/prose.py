"""Keeps README and notebooks equal to the results: numbers in prose, tables, badges, Colab cells."""

import re
import sys
from pathlib import Path

import nbformat

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from harmonics_lib.evaluation.grid import over_horizon
from harmonics_lib.paths import checkout, results_dir
from harmonics_lib.published.tables import load_grid, load_metrics, published_metrics
from harmonics_lib.report.findings import Claim
from harmonics_lib.report.tables import grid_table

OVERVIEW = "00_overview"
_NUMBER = re.compile(r"<!--(\w+)\.([\w.]+):([^>\s]+)-->(.*?)<!---->", re.DOTALL)


class ReportError(RuntimeError):
    """The report cannot be built as asked; the message says what, where and why."""


def notebook_paths(selection: str = "") -> list[Path]:
    """The notebooks in order; ``selection`` is space-separated numbers, all when empty.

    Raises:
        ReportError: a number without a notebook.
    """
    paths = sorted((checkout() / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    wanted = selection.split()
    unknown = [number for number in wanted if number not in [path.name[:2] for path in paths]]
    if unknown:
        known = " ".join(path.name[:2] for path in paths)
        raise ReportError(f"no notebook {' '.join(unknown)}; there are {known}")
    return [path for path in paths if not wanted or path.name[:2] in wanted]


def fill_numbers(text: str) -> str:
    """Replace every number in ``<!--notebook.name:format-->number<!---->`` by the one in the metrics.

    ``name`` is a value, or ``claim.bound`` for the bound of a claim.

    Raises:
        ReportError: the metrics hold no such value.
    """

    def fill(match: re.Match) -> str:
        notebook, name, spec, _ = match.groups()
        try:
            metrics = load_metrics(notebook)
            claim, bound, _ = name.partition(".bound")
            bounds = {stored["name"]: stored["bound"] for stored in metrics["claims"]}
            value = bounds[claim] if bound else metrics["values"][name]
        except (ValueError, KeyError) as error:
            raise ReportError(f"prose quotes {notebook}.{name}, which the published metrics do not hold") from error
        return f"<!--{notebook}.{name}:{spec}-->{format(value, spec)}<!---->"

    return _NUMBER.sub(fill, text)


def findings_table() -> str:
    """All published claims as one Markdown table, each with a link to its notebook; the overview's own are left out."""
    rows = ["| notebook | finding | measured | bound |", "|---|---|---|---|"]
    for notebook in (name for name in published_metrics() if name != OVERVIEW):
        for stored in load_metrics(notebook)["claims"]:
            claim = Claim(*(stored[name] for name in ("sentence", "value", "comparison", "bound", "judged")))
            link = f"[{notebook[:2]}]({notebook}.ipynb)"
            rows.append(f"| {link} | {claim.sentence} | {claim.measured} | {claim.kept} |")
    return "\n".join(rows)


def notebooks_table() -> str:
    """Every notebook with its question, the first sentence of its answer, and its badge, as a Markdown table."""
    rows = ["| notebook | question | answer, in one line | run it |", "|---|---|---|---|"]
    for path in notebook_paths():
        opening = nbformat.read(path, as_version=4).cells[0].source
        title = opening.splitlines()[0].lstrip("# ")
        question = re.search(r"\*\*Question:\*\* (.*?)\n\n", opening, re.DOTALL)[1].replace("\n", " ")
        answer = re.search(r"\*\*Answer:\*\* (.*?\.)(?: [A-Z]|\n\n|$)", opening, re.DOTALL)[1].replace("\n", " ")
        rows.append(f"| [{title}](results/notebooks/{path.name}) | {question} | {answer} | {_badge(path.name)} |")
    return "\n".join(rows)


def _fill_block(text: str, name: str, content: str) -> str:
    pattern = re.compile(rf"(<!--{name}-->\n).*?(<!--/{name}-->)", re.DOTALL)
    filled, count = pattern.subn(lambda match: f"{match[1]}{content}\n{match[2]}", text)
    if count != 1:
        raise ReportError(f"README.md needs exactly one block <!--{name}--> … <!--/{name}-->, it has {count}")
    return filled


def render_prose() -> dict[Path, str]:
    """What README and the notebooks should say: path -> text, with every number and table filled in."""
    rendered = {}
    for path in [*notebook_paths(), *sorted((results_dir() / "notebooks").glob("*.ipynb"))]:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = fill_numbers(cell.source)
        rendered[path] = nbformat.writes(notebook) + "\n"
    readme = checkout() / "README.md"
    grid = over_horizon(load_grid(), 10, periods="whole", components=(1, 10, 45))
    text = _fill_block(readme.read_text(), "grid", grid_table(grid))
    rendered[readme] = fill_numbers(_fill_block(text, "notebooks", notebooks_table()))
    return rendered


def repository_url() -> str:
    """Where the repository lives: ``[project.urls]`` in ``pyproject.toml``."""
    return tomllib.loads((checkout() / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def pages_url() -> str:
    """Where the pages of ``make site`` are published: GitHub's address of the repository's pages."""
    owner, name = repository_url().removeprefix("https://github.com/").split("/")
    return f"https://{owner}.github.io/{name}/"


def _badge(notebook: str, url: str = "") -> str:
    path = (url or repository_url()).removeprefix("https://github.com/")
    target = f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{notebook}"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({target})"


def colab_setup(url: str) -> str:
    """Source of the cell that makes ready when the notebook runs in Colab, from ``url``.

    The package comes with what notebooks need and Colab may lack; a clone has the published runs, too.
    """
    return "\n".join(
        [
            "import sys",
            "",
            'if "google.colab" in sys.modules:',
            f'    repository = "{url}"',
            "    !git clone -q --depth 1 {repository} harmonics",
            '    %pip install -q "./harmonics[notebooks]"',
            "    %env HARMONICS_RESULTS=harmonics/results",
        ]
    )


def render_badges() -> dict[Path, str]:
    """The notebooks with the badge and the Colab cell that the repository's URL asks for: path -> text."""
    url, rendered = repository_url(), {}
    for path in notebook_paths():
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            tags = cell.metadata.get("tags", [])
            if "badge" in tags:
                cell.source = _badge(path.name, url)
            if "colab" in tags:
                cell.source = colab_setup(url)
        rendered[path] = nbformat.writes(notebook) + "\n"
    return rendered
