"""Sphinx extension: what search engines, screen readers, and those who pass a link on, are told of the pages."""

import re
from html import escape
from pathlib import Path

import nbformat
from docutils import nodes

from harmonics_lib.paths import results_dir
from harmonics_lib.report.prose import OVERVIEW, pages_url

_NOT_LISTED = {"404", "genindex", "search"}
_PLAYGROUND = "Sums of up to 45 sinusoids: see 100 samples, guess what comes next, compare it with forecasts."


def description(app, page: str) -> str:
    """The question that a page asks and the first sentence of its answer, or its first paragraph, as plain text."""
    if page == "playground":
        return _PLAYGROUND
    path = results_dir() / "notebooks" / f"{OVERVIEW if page == 'index' else page}.ipynb"
    if not path.exists():
        return next(app.env.get_doctree(page).findall(nodes.paragraph)).astext()
    opening = nbformat.read(path, as_version=4).cells[0].source
    question = re.search(r"\*\*Question:\*\* (.*?)\n\n", opening, re.DOTALL)[1]
    answer = re.search(r"\*\*Answer:\*\* (.*?\.)(?: [A-Z]|\n\n|$)", opening, re.DOTALL)[1]
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*$]", r"\1", f"{question} {answer}")
    return " ".join(plain.split())


def _describe(app, page, template, context, doctree) -> None:
    if page in _NOT_LISTED:
        return
    title = re.sub(r"<[^>]*>", "", context["title"])
    about = escape(description(app, page), quote=True)
    properties = {"title": title, "description": about, "type": "article", "url": f"{pages_url()}{page}.html"}
    properties |= {"image": f"{pages_url()}methods.png", "site_name": app.config.project}
    tags = [f'<meta property="og:{name}" content="{value}">' for name, value in properties.items()]
    tags += [f'<meta name="description" content="{about}">', '<meta name="twitter:card" content="summary_large_image">']
    context["metatags"] += "\n".join(tags)


def _rank(app, page, template, context, doctree) -> None:
    """The captions of the sidebar are headings, and screen readers want to know of which rank."""
    tree = context["furo_navigation_tree"]
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def _list(app, error) -> None:
    """sitemap.xml and robots.txt; and GitHub is told to publish folders that begin with an underscore, too."""
    if error or app.builder.name != "html":
        return
    folder, pages = Path(app.outdir), sorted(app.env.found_docs - _NOT_LISTED)
    places = "".join(f"<url><loc>{pages_url()}{page}.html</loc></url>\n" for page in pages)
    schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
    sitemap = f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="{schema}">\n{places}</urlset>\n'
    (folder / "sitemap.xml").write_text(sitemap, encoding="utf-8")
    (folder / "robots.txt").write_text(
        f"User-agent: *\nAllow: /\nSitemap: {pages_url()}sitemap.xml\n", encoding="utf-8"
    )
    (folder / ".nojekyll").touch()


def setup(app) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("html-page-context", _describe)
    app.connect("html-page-context", _rank, priority=900)  # after the theme has made the sidebar
    app.connect("build-finished", _list)
    return {"parallel_read_safe": True}
