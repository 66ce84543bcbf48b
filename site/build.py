"""Builds the site from the published notebooks: sources for Sphinx, which then makes the pages.

Figures become vectors of lines and letters with their descriptions, the code of cells tagged hide-input is folded away,
that of several in a row together, the badge, a remote picture, becomes a link, what is animated stands still at its
end, figures that move come after their stills, and the overview becomes the first page. The playground and the
documents are further pages.
"""

import base64
import io
import re
import shutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import nbformat
from export import export, moving, page
from figures import with_letters
from nbformat import NotebookNode
from PIL import Image
from sphinx.cmd.build import build_main

from harmonics_lib.paths import build_dir, results_dir
from harmonics_lib.report.prose import OVERVIEW, pages_url, repository, repository_url

PLAYGROUND = "playground"
#: What is a page of the site beside the notebooks.
DOCUMENTS = [
    *(repository() / "docs" / f"{name}.md" for name in ("forecast", "api", "forecasters", "train", "build")),
    repository() / "CHANGELOG.md",
]
_PLAYGROUND_PAGE = """---
hide-toc: true
---

# Can you see 45 sinusoids coming?

```{{raw}} html
{}
```
"""
MOST_SVG_BYTES = 400_000  # a figure with more is shown as PNG
_WORDS = re.compile(r"<td>(?=[^<]*[a-z]{4})(?!below|above)")  # cells of tables that are read, not compared
_NUMBER = r"-?\d[\d.]*(?:e[+-]\d+)?"
_UNBROKEN = re.compile(rf"\(?(?:(?:below|above|(?:<|>|&[lg]t;)=?|==) )?{_NUMBER}(?: – {_NUMBER})?\)?")


def assemble(target: Path, only: Collection[str] = ()) -> None:
    """Write the sources of the pages into ``target``, which is emptied first: of all, or ``only`` these notebooks."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    names = [path.stem for path in sorted((results_dir() / "notebooks").glob("*.ipynb"))]
    names = [name for name in names if not only or name in only]
    for name in names:
        notebook = nbformat.read(results_dir() / "notebooks" / f"{name}.ipynb", as_version=4)
        for cell in notebook.cells:
            _markdown(cell) if cell.cell_type == "markdown" else _code(cell, name)
        notebook.cells = [made for cell in _folded(notebook.cells) for made in (cell, *_moving(cell, name))]
        if name == OVERVIEW:
            contents = _contents([other for other in names if other != OVERVIEW])
            notebook.cells.append(nbformat.v4.new_markdown_cell(contents, id="contents"))
        nbformat.write(notebook, target / f"{_page(name)}.ipynb")
    (target / f"{PLAYGROUND}.md").write_text(_PLAYGROUND_PAGE.format(page()), encoding="utf-8")
    for source in DOCUMENTS:
        text = _linked(source.read_text(encoding="utf-8"), source.parent)
        (target / f"{_document(source)}.md").write_text(text, encoding="utf-8")


def _contents(notebooks: list[str]) -> str:
    """The sidebar: the notebooks, the playground and the documents."""
    parts = {"Report": notebooks, "Play": [PLAYGROUND], "Use": [_document(source) for source in DOCUMENTS]}
    trees = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"])
        for caption, pages in parts.items()
    ]
    return "\n\n".join(trees)


def _document(source: Path) -> str:
    """The page of a document."""
    return source.stem.lower()


def _linked(text: str, folder: Path) -> str:
    """A document whose links lead to pages of the site, or else to the file on GitHub."""

    def link(found: re.Match) -> str:
        path, anchor = (folder / found[1]).resolve(), found[2] or ""
        if path.suffix == ".ipynb":
            return f"]({_page(path.stem)}.ipynb{anchor.lower()})"
        if path in DOCUMENTS:
            return f"]({_document(path)}.md{anchor})"
        if not path.exists():
            raise FileNotFoundError(f"a document links {found[1]}, which does not exist")
        return f"]({repository_url()}/blob/main/{path.relative_to(repository())}{anchor})"

    return re.sub(r"\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)", link, text)


def _page(name: str) -> str:
    return "index" if name == OVERVIEW else name


def _markdown(cell) -> None:
    """Plain numbers, links between pages, and a link instead of the badge."""
    text = re.sub(r"!\[Open in Colab\]\([^)]*\)", "Open in Colab", cell.source)
    # Jupyter's anchors are headings with capitals; Sphinx's are in small letters.
    text = re.sub(r"(\.ipynb#)([\w-]+)", lambda link: link[1] + link[2].lower(), text)
    text = text.replace(f"({pages_url()}{PLAYGROUND}.html", f"({PLAYGROUND}.md")
    text = re.sub(r"\]\(\.\./\.\./docs/(\w+\.md)", r"](\1", text)
    cell.source = text.replace(f"({OVERVIEW}.ipynb", "(index.ipynb")
    cell.metadata.pop("tags", None)


def _code(cell, notebook: str) -> None:
    """Give every figure its description, and its SVG unless that is very large; see that tables can be read."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "text/html" in data:
            read = _WORDS.sub('<td class="words">', data["text/html"])
            read = re.sub("<th>(?=[^<]{40})", '<th class="sentence">', read)
            read = re.sub('words">(?=[^<]{40})', 'words sentence">', read)
            data["text/html"] = re.sub(r"(?<=>)[^<]+(?=<)", lambda text: _unbroken(text[0]), read)
        elif "text/markdown" in data:
            rows = re.compile(r"^\|.*", re.MULTILINE)  # of a table; all else is listings
            data["text/markdown"] = rows.sub(lambda row: _unbroken(row[0]), data["text/markdown"])
        for kind in ("image/png", "image/gif"):
            about = output.get("metadata", {}).get(kind, {})
            if "figure" not in about:
                continue
            cell.metadata["mystnb"] = {"image": {"alt": about["alt"]}}
            vector = results_dir() / "figures" / notebook / f"{about['figure']}.svg"
            if kind == "image/png" and vector.stat().st_size <= MOST_SVG_BYTES:
                output.data = NotebookNode({"image/svg+xml": with_letters(vector.read_text(encoding="utf-8"))})
            elif kind == "image/gif":  # nothing moves on a page by itself
                cell.metadata["mystnb"]["image"]["alt"] = f"The last picture of this: {about['alt']}"
                output.data = NotebookNode({"image/png": _last_picture(output.data[kind])})


def _unbroken(text: str) -> str:
    """The text, with each number like 1e-12, its bound, and each interval in one line."""

    def kept(found: re.Match) -> str:
        return f'<span class="together">{found[0]}</span>' if set(found[0]) & set(" e") else found[0]

    return _UNBROKEN.sub(kept, text)


def _folded(cells: list[NotebookNode]) -> list[NotebookNode]:
    """The cells; of those in a row whose code is folded, and that show nothing, one with the next: one line to open."""
    folded = []
    for cell in cells:
        hidden = "hide-input" in cell.metadata.get("tags", [])
        before = folded[-1] if hidden and folded else {}
        if "hide-input" in before.get("metadata", {}).get("tags", []) and not before.outputs:
            cell.source = f"{before.source}\n\n\n{cell.source}"
            folded.pop()
        folded.append(cell)
    return folded


def _last_picture(animation: str) -> str:
    """The last frame of a GIF as PNG, both in base 64."""
    still = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(animation))) as picture:
        picture.seek(picture.n_frames - 1)
        picture.save(still, "png")
    return base64.b64encode(still.getvalue()).decode()


def _moving(cell, notebook: str) -> Iterator[NotebookNode]:
    """Cells with the figures that move, if any, to come after a cell with their stills."""
    for output in cell.get("outputs", []):
        for about in output.get("metadata", {}).values():
            if isinstance(about, dict) and (figure := moving(notebook, about.get("figure"))):
                yield nbformat.v4.new_markdown_cell(f"```{{raw}} html\n{figure}\n```", id=f"moving-{about['figure']}")


def build(folder: Path, only: Collection[str] = ()) -> int:
    """Sources and pages under ``folder``; Sphinx's exit code, not 0 where it had anything to say."""
    assemble(folder / "source", only)
    export(folder / "html" / PLAYGROUND)
    here = Path(__file__).resolve().parent
    options = ["-q", "-W", "--keep-going", "-E", "-c", str(here), "-d", str(folder / "doctrees")]
    return build_main([*options, str(folder / "source"), str(folder / "html")])


if __name__ == "__main__":
    target, *only = sys.argv[1:] or [build_dir() / "site"]
    sys.exit(build(Path(target), only))
