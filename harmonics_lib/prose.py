"""Keeps README and notebooks equal to the results: numbers in prose, tables, badges, Colab cells."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pandas as pd

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from harmonics_lib.results import Claim, checkout, load_grid, load_metrics, published_metrics, results_dir

OVERVIEW = "00_overview"
ORACLE = "known periods"
ROUNDING = 1e-12  # errors below are alike
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
        except (FileNotFoundError, KeyError) as error:
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


def grid_table(grid: pd.DataFrame, noise_levels: Sequence[float] = (0.0, 0.1)) -> str:
    """Mean squared errors of every method as a Markdown table, the best of each column in bold.

    Args:
        grid: rows of ``load_grid`` for one range of steps and one kind of periods.
    """
    wide = grid[grid.noise_std.isin(noise_levels)].pivot(
        index="method", columns=["noise_std", "components"], values="mse"
    )
    wide = wide.sort_index(axis=1).sort_values(wide.columns[-1])
    best = wide.drop(index=ORACLE).min().clip(lower=ROUNDING)
    names = [f"{count}, noise {noise:g}" if noise else f"{count}" for noise, count in wide.columns]
    rows = [f"| components | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for method, errors in wide.iterrows():
        cells = [f"< {ROUNDING:g}" if error < ROUNDING else f"{error:.1e}" for error in errors]
        marked = [
            f"**{cell}**" if method != ORACLE and error <= low else cell
            for cell, error, low in zip(cells, errors, best, strict=True)
        ]
        rows.append(f"| {method} | {' | '.join(marked)} |")
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
    grid = load_grid()
    grid = grid[(grid["first"] == 1) & (grid["last"] == 10) & (grid.periods == "whole")]
    grid = grid[grid.components.isin((1, 10, 45))]
    text = _fill_block(readme.read_text(), "grid", grid_table(grid))
    rendered[readme] = fill_numbers(_fill_block(text, "notebooks", notebooks_table()))
    return rendered


def repository_url() -> str:
    """Where the repository lives: ``[project.urls]`` in ``pyproject.toml``."""
    return tomllib.loads((checkout() / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def _badge(notebook: str, url: str = "") -> str:
    path = (url or repository_url()).removeprefix("https://github.com/")
    target = f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{notebook}"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({target})"


def colab_setup(url: str) -> str:
    """Source of the cell that installs the package when the notebook runs in Colab, from ``url``."""
    return f'import sys\n\nif "google.colab" in sys.modules:\n    %pip install -q "git+{url}"'


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
