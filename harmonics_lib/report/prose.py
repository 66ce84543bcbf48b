"""Fills published numbers into the prose of executed notebooks and the README; writes badges and Colab cells."""

import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from harmonics_lib.paths import checkout, results_dir
from harmonics_lib.published.tables import load_metrics, published_metrics
from harmonics_lib.report.findings import Claim

OVERVIEW = "00_overview"
_PLACEHOLDER = re.compile(r"\{\{(\d\d)\.([^{}:]*?)(\.bound)?(?::([^{}]*))?\}\}")  # other double braces are LaTeX
_HEADER = "<!-- make report writes this file: edit {} -->\n\n"


class ReportError(RuntimeError):
    """The report cannot be built; the message says what failed, where and why."""


def repository() -> Path:
    """The root folder of the checkout.

    Raises:
        ReportError: there is no checkout, because only the package is installed.
    """
    if folder := checkout():
        return folder
    raise ReportError("the report needs the checkout of the repository; here only the package is installed")


def notebook_paths(selection: str = "") -> list[Path]:
    """The paths of the notebooks in order; ``selection`` has their numbers, separated by spaces, or is empty for all.

    Raises:
        ReportError: a number has no notebook.
    """
    paths = sorted((repository() / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    wanted = selection.split()
    unknown = [number for number in wanted if number not in [path.name[:2] for path in paths]]
    if unknown:
        known = " ".join(path.name[:2] for path in paths)
        raise ReportError(f"no notebook {' '.join(unknown)}; there are {known}")
    return [path for path in paths if not wanted or path.name[:2] in wanted]


def fill_numbers(text: str, metrics: Mapping[str, dict], required: Collection[str] | None = None) -> str:
    """Replace every placeholder ``{{05.name:format}}`` by that number of notebook 05.

    ``name`` is a value, or ``claim.bound`` for the bound of a claim.

    Args:
        metrics: by the notebook's number, as ``load_metrics`` returns them.
        required: the notebooks whose numbers must be there, all unless given; of others, what ``metrics`` lacks stays
            a placeholder.

    Raises:
        ReportError: a required number is missing, or what should be a placeholder is not of this form.
    """

    def fill(match: re.Match) -> str:
        notebook, name, bound, spec = match.groups()
        try:
            bounds = {claim["name"]: claim["bound"] for claim in metrics[notebook]["claims"]}
            return format(bounds[name] if bound else metrics[notebook]["values"][name], spec)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, KeyError) and required is not None and notebook not in required:
                return match[0]
            raise ReportError(
                f"the prose quotes {match[0]}: expected {{{{notebook.name:format}}}}, a number of that notebook"
            ) from error

    return _PLACEHOLDER.sub(fill, text)


def fill_notebook(notebook: NotebookNode, metrics: Mapping[str, dict], required: Collection[str] | None = None) -> None:
    """``fill_numbers`` in all Markdown cells of a notebook, in place."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = fill_numbers(cell.source, metrics, required)


def findings_table() -> str:
    """All published claims but those of the overview as a Markdown table, each with a link to its notebook."""
    rows = ["| notebook | finding | measured | bound |", "|---|---|---|---|"]
    for notebook in (name for name in published_metrics() if name != OVERVIEW):
        for stored in load_metrics(notebook)["claims"]:
            claim = Claim(*(stored[name] for name in ("sentence", "value", "comparison", "bound", "judged")))
            link = f"[{notebook[:2]}]({notebook}.ipynb)"
            rows.append(f"| {link} | {claim.sentence} | {claim.measurement} | {claim.condition} |")
    return "\n".join(rows)


def notebooks_table() -> str:
    """Every notebook with its question and its badge, as a Markdown table."""
    rows = ["| notebook | question | run it |", "|---|---|---|"]
    for path in notebook_paths():
        opening = nbformat.read(path, as_version=4).cells[0].source
        title = opening.splitlines()[0].lstrip("# ")
        question = re.findall(r"\*\*Question:\*\* (.*?)\n\n", opening, re.DOTALL)[0].replace("\n", " ")
        rows.append(f"| [{title}](results/notebooks/{path.name}) | {question} | {_badge(path.name)} |")
    return "\n".join(rows)


def render_prose() -> dict[Path, str]:
    """The executed notebooks and the README with all numbers filled in from the published metrics: path -> text.

    Results outside the checkout's folder, such as those of the quick profile, may lack numbers, and have no README.

    Raises:
        ReportError: the metrics lack the value of a placeholder.
    """
    ours = results_dir().resolve() == (repository() / "results").resolve()
    metrics = {name[:2]: load_metrics(name) for name in published_metrics()}
    rendered = {}
    for source in notebook_paths():
        path = results_dir() / "notebooks" / source.name
        if path.exists():
            notebook, prose = nbformat.read(path, as_version=4), nbformat.read(source, as_version=4)
            text = {cell.id: cell.source for cell in prose.cells if cell.cell_type == "markdown"}
            for cell in (cell for cell in notebook.cells if cell.cell_type == "markdown"):
                cell.source = text.get(cell.id, cell.source)
            fill_notebook(notebook, metrics, None if ours else ())
            rendered[path] = nbformat.writes(notebook) + "\n"
    return rendered | (_render_pages(metrics) if ours else {})


def _render_pages(metrics: Mapping[str, dict]) -> dict[Path, str]:
    """README.md from README.in.md, and pages of the documentation in the same way."""
    pages = {}
    for path in (repository() / "README.in.md", *(repository() / "docs").glob("*.in.md")):
        text = path.read_text(encoding="utf-8").replace("{{notebooks}}", notebooks_table())
        pages[path.with_name(path.name.replace(".in", ""))] = _HEADER.format(path.name) + fill_numbers(text, metrics)
    return pages


def repository_url() -> str:
    """The repository's URL, from ``[project.urls]`` in ``pyproject.toml``."""
    return tomllib.loads((repository() / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def pages_url() -> str:
    """The URL of the pages of ``make site``: GitHub Pages of the repository."""
    owner, name = repository_url().removeprefix("https://github.com/").split("/")
    return f"https://{owner}.github.io/{name}/"


def _badge(notebook: str, url: str = "") -> str:
    path = (url or repository_url()).removeprefix("https://github.com/")
    target = f"https://colab.research.google.com/github/{path}/blob/main/results/notebooks/{notebook}"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({target})"


def colab_setup(url: str) -> str:
    """Source of the cell that sets up a notebook in Colab from the repository at ``url``.

    It installs the package with the requirements of the notebooks. The clone provides the published runs.
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
    """The notebooks with badge and Colab cell for the repository's URL: path -> text."""
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
