"""The site: built anew, served on loopback, and every page opened once in headless Chromium."""

import functools
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import nbformat
import pytest
from pages import PHONE, WIDE, one_of_each_look, open_page, press_until, resize, serious_findings

from harmonics_lib.report.prose import pages_url

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "results" / "notebooks").glob("*.ipynb"))
PAGES = ["index", *(path.stem for path in NOTEBOOKS[1:])]
OTHERS = ["playground", "forecast", "api", "forecasters", "train", "build", "changelog"]  # in the order of the sidebar


@pytest.mark.parametrize("version, names", [("3.10.9", ("41", "32", "e9")), ("3.11.2", ("24", "15", "ab"))])
def test_letters_are_those_that_matplotlib_drew(version, names, monkeypatch):
    """As these two versions name the shapes of A2é."""
    monkeypatch.syspath_prepend(ROOT / "site")
    from figures import with_letters

    uses = "".join(f'<use xlink:href="#DejaVuSans-{name}"/>' for name in names)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f"<svg {spaces}><title>Matplotlib v{version}</title><g>{uses}</g></svg>"
    assert ">A2é</" in with_letters(svg)


def test_is_small_and_its_figures_are_lines_and_letters(site_folder):
    assert sum(path.stat().st_size for path in site_folder.rglob("*") if path.is_file()) <= 15e6
    for figure in (site_folder / "_images").glob("*.svg"):
        assert "<tspan" in figure.read_text() and "#DejaVu" not in figure.read_text(), figure.name


def test_formulas_and_numbers_of_tables_are_kept_together_with_what_belongs_to_them(site_folder):
    """… on some page at least: how they are kept so, and that nothing is doubled, every page shows below."""
    pages = "".join((site_folder / f"{name}.html").read_text() for name in PAGES)
    assert re.search(r'class="together"><span class="math">', pages)
    assert re.search(r'<td[^>]*>[^<]*<span class="together">[^<]* – ', pages)


def test_pages_say_what_they_ask_and_answer_to_those_who_pass_them_on(site_folder):
    told = set()
    for name in [*PAGES, *OTHERS]:
        page = (site_folder / f"{name}.html").read_text()
        (about,) = re.findall(r'<meta name="description" content="([^"]*)">', page)
        assert f'<meta property="og:description" content="{about}">' in page and not re.search(r"<|\*|`|\$", about)
        assert f'<link rel="canonical" href="{pages_url()}{name}.html"' in page
        (picture,) = re.findall(rf'<meta property="og:image" content="{pages_url()}([^"]*)">', page)
        assert (site_folder / picture).read_bytes().startswith(b"\x89PNG")
        told.add(about)
    assert len(told) == len(PAGES) + len(OTHERS)


def test_search_engines_find_every_page_and_the_lost_find_home(site_folder):
    listed = re.findall(r"<loc>(.*?)</loc>", (site_folder / "sitemap.xml").read_text())
    assert sorted(listed) == sorted(f"{pages_url()}{name}.html" for name in [*PAGES, *OTHERS])
    assert f"Sitemap: {pages_url()}sitemap.xml" in (site_folder / "robots.txt").read_text()
    lost = (site_folder / "404.html").read_text()
    home = urlsplit(pages_url()).path
    for link in re.findall(r'(?:href|src)="([^"#]+)"', lost):
        assert link.startswith((home, "https://")), f"{link} is looked for in the wrong place"
        local = link.partition("?")[0].removeprefix(home)
        assert link.startswith("https://") or (site_folder / (local or "index.html")).exists(), link


@pytest.fixture(scope="module")
def printed(tmp_path_factory, browser):
    """The folder that make pdf leaves, which prints with what the browser fixture opens pages in."""
    folder = tmp_path_factory.mktemp("pdf")
    subprocess.run([sys.executable, ROOT / "site" / "pdf.py", folder], check=True)
    return folder


def test_the_report_is_printed_with_contents_links_and_all_of_its_pages(printed):
    report = (printed / "report.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", report)) >= 10 * len(PAGES)
    assert b"/Outlines" in report
    for name in PAGES[1:]:
        assert f"/document-{name}".encode() in report, f"no link leads to {name}"


def test_nothing_is_cut_on_paper(printed, browser, serve):
    page, _ = open_page(browser, f"{serve(printed / 'pdf' / 'html')}/index.html")
    page.emulate_media(media="print")
    resize(page, 673)  # A4 within its margins, in pixels
    cut = page.evaluate("""() => {
        const article = document.querySelector("article");
        const edge = article.getBoundingClientRect().right + 1;
        return [...article.querySelectorAll("pre, table, img, .katex-display")]
            .filter(box => box.getBoundingClientRect().right > edge || box.scrollWidth > box.clientWidth + 1)
            .map(box => box.outerHTML.slice(0, 200));
    }""")
    page.close()
    assert cut == []


def test_without_chromium_make_pdf_says_what_it_needs(tmp_path):
    command = [sys.executable, ROOT / "site" / "pdf.py", tmp_path]
    done = subprocess.run(command, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stdout == "make pdf prints with Chromium: expected chromium or google-chrome on the path, found neither.\n"
    )


@functools.cache
def fetched(address):
    """What lies at an address, or None."""
    try:
        with urllib.request.urlopen(address) as response:
            return response.read()
    except urllib.error.HTTPError:
        return None


@pytest.fixture(scope="module", params=zip(PAGES, NOTEBOOKS, strict=True), ids=PAGES)
def opened(request, site, browser):
    """A page, opened once for all its tests, what went wrong on it, and the notebook it was made from."""
    name, notebook = request.param
    page, wrong = open_page(browser, f"{site}/{name}.html")
    yield page, wrong, nbformat.read(notebook, as_version=4)
    page.close()


@pytest.fixture
def visit(opened):
    """As opened; whatever a test does to the page, and however it ends, the next one finds it folded and unchanged."""
    yield opened
    opened[0].evaluate("""() => {
        document.activeElement?.blur();
        document.querySelectorAll("details").forEach(fold => fold.open = false);
        document.querySelectorAll(".cell_input").forEach(cell => cell.style.width = "");
        document.querySelectorAll("article [data-more]").forEach(box => box.scrollLeft = 0);
    }""")


class TestPage:
    def test_opens_without_an_error_or_a_request_elsewhere(self, visit):
        page, wrong, _ = visit
        resize(page)
        assert wrong == []
        formulas = page.locator(".math").count()
        assert page.locator(".math .katex-html").count() == page.locator(".math math").count() == formulas
        assert page.locator(".katex-error, .math:empty").count() == 0
        assert page.evaluate("!document.querySelector('.katex') || document.fonts.check('16px KaTeX_Main')")
        assert not any("$" in text for text in page.locator("article p, article td").all_inner_texts())
        for figure in page.locator(".cell_output img").all():
            assert len(figure.get_attribute("alt") or "") >= 50
            assert figure.evaluate("image => image.naturalWidth") > 0

    def test_is_accessible(self, visit):
        page, *_ = visit
        resize(page)
        assert serious_findings(page, rules={"color-contrast": {"enabled": False}}) == {}

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_its_colours_can_be_read(self, visit, scheme):
        """Every look of a text once: axe takes seconds to judge the contrast of every word."""
        page, *_ = visit
        resize(page, scheme=scheme)
        colours = ["color-contrast", "link-in-text-block"]
        assert serious_findings(page, one_of_each_look(page), runOnly=colours) == {}

    def test_fits_a_phone(self, visit):
        page, wrong, _ = visit
        resize(page, PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
        assert serious_findings(page, runOnly=["scrollable-region-focusable"]) == {}
        assert wrong == []

    @pytest.mark.parametrize("width", [WIDE, PHONE])
    def test_what_is_wider_than_its_column_scrolls_within_itself_and_shows_it(self, visit, width):
        """Formulas, tables, listings, figures: nothing stands out, and what is cut fades where it goes on."""
        page, *_ = visit
        resize(page, width)
        page.eval_on_selector_all("details", "all => all.forEach(fold => fold.open = true)")
        wrong = page.evaluate("""async () => {
            const frame = () => new Promise(requestAnimationFrame);
            await frame(), await frame();  // what has unfolded is measured between two frames
            const cut = box => ["auto", "scroll"].includes(getComputedStyle(box).overflowX)
                && box.scrollWidth > box.clientWidth + 1;
            const told = box => box.tabIndex == 0 && box.dataset.more == "right"
                && getComputedStyle(box).maskImage.startsWith("linear-gradient(to left");
            const column = document.querySelector("article").getBoundingClientRect().right + 1;
            const stands = box => box.matches(".katex, table, img, pre") && !box.closest("[data-more]")
                && box.getBoundingClientRect().right > column;
            return [...document.querySelectorAll("article *")].filter(box => cut(box) && !told(box) || stands(box))
                .map(box => box.outerHTML.slice(0, 200));
        }""")
        assert wrong == []
        strip = page.locator("article [data-more]").first
        if strip.count():
            strip.evaluate("box => box.scrollLeft = 1e6")
            page.wait_for_function("box => box.dataset.more == 'left'", arg=strip.element_handle())

    def test_formulas_tables_and_listings_fit_a_wide_page(self, visit):
        page, *_ = visit
        resize(page)
        wide = "all => all.filter(box => box.scrollWidth > box.clientWidth).map(box => box.textContent.slice(0, 80))"
        assert page.eval_on_selector_all("div.math, .table-wrapper, .cell_output, .cell_output pre", wide) == []

    def test_numbers_and_intervals_in_tables_stay_in_one_line(self, visit):
        page, *_ = visit
        resize(page, PHONE)
        broken = page.evaluate("""() => {
            const texts = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
            const range = document.createRange(), broken = [];
            while (texts.nextNode()) {
                const text = texts.currentNode;
                if (!text.parentElement.closest("td")) continue;
                for (const found of text.data.matchAll(/[-.\\d]+e[-+]\\d+|[-.\\d]+ – [-.\\d]+/g)) {
                    range.setStart(text, found.index);
                    range.setEnd(text, found.index + found[0].length);
                    if (new Set([...range.getClientRects()].map(line => line.top)).size > 1) broken.push(found[0]);
                }
            }
            return broken;
        }""")
        assert broken == []

    def test_after_a_formula_stands_one_comma_where_one_was_written(self, visit):
        page, *_ = visit
        resize(page)
        doubled = page.evaluate("""[...document.querySelectorAll(".together")]
            .filter(box => (box.nextSibling?.textContent ?? "").startsWith(box.lastChild.textContent))
            .map(box => box.parentElement.textContent.slice(0, 80))""")
        assert doubled == []

    def test_solutions_are_folded_and_open_with_all_they_hold(self, visit):
        page, _, notebook = visit
        resize(page)
        written = sum(cell.source.count("<summary>Solution</summary>") for cell in notebook.cells)
        solutions = page.locator("li > details:has(> summary:text-is('Solution'))")
        assert solutions.count() == written
        for solution in solutions.all():
            text = solution.locator("p").first
            assert not text.is_visible()
            solution.locator("summary").click()
            assert text.is_visible()
        if written:
            assert serious_findings(page, {"include": [["li > details"]]}) == {}

    def test_code_that_unfolds_or_narrows_later_scrolls_by_keyboard(self, visit):
        page, *_ = visit
        resize(page)
        page.eval_on_selector_all("details", "all => all.forEach(fold => fold.open = true)")
        page.eval_on_selector_all(".cell_input", "all => all.forEach(cell => cell.style.width = '9rem')")
        page.wait_for_function(
            """[...document.querySelectorAll(".cell_input pre")].every(
                code => code.clientWidth && (code.tabIndex == 0) == (code.scrollWidth > code.clientWidth))"""
        )
        code = page.locator(".cell_input pre[tabindex='0']").first.element_handle()
        press_until(page, "ArrowRight", code, "code => code.scrollLeft > 0")

    def test_lines_of_88_characters_fit_folded_or_not(self, visit):
        page, *_ = visit
        resize(page)
        cut = page.evaluate("""() => {
            const cut = [];
            document.querySelectorAll("details").forEach(fold => fold.open = true);
            for (const code of document.querySelectorAll(".cell_input pre")) {
                const full = code.parentNode.appendChild(code.cloneNode());
                full.textContent = "x".repeat(88);
                const short = code.textContent.split("\\n").every(line => line.length <= 88);
                for (const box of short ? [full, code] : [full])
                    if (box.scrollWidth > box.clientWidth) cut.push(code.textContent);
                full.remove();
            }
            return cut;
        }""")
        assert cut == []

    def test_folds_the_code_that_is_tagged_and_no_other(self, visit):
        page, _, notebook = visit
        tags = [{"hide-input", "remove-cell"} & set(cell.metadata.get("tags", [])) for cell in notebook.cells]
        tagged = [cell.source for cell, has in zip(notebook.cells, tags, strict=True) if has == {"hide-input"}]
        folded = page.locator("details .cell_input pre").all_text_contents()
        assert "".join("".join(folded).split()) == "".join("".join(tagged).split())
        in_a_row = ".tag_hide-input:not(:has(.cell_output)) + .tag_hide-input"
        assert page.locator(in_a_row).count() == 0

    def test_every_internal_link_resolves(self, visit, site):
        page, *_ = visit
        for link in set(page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")):
            address, anchor = urldefrag(link)
            if address.startswith(site):
                assert fetched(address), f"{link} leads nowhere"
                assert not anchor or f'id="{anchor}"'.encode() in fetched(address), f"{link} has no such place"

    def test_leads_to_the_next_page_and_back(self, visit):
        page, *_ = visit
        resize(page)
        name = Path(page.url).stem
        at, order = PAGES.index(name), [*PAGES, *OTHERS]
        around = page.eval_on_selector_all(".related-pages a", "all => all.map(a => a.getAttribute('href'))")
        assert sorted(around) == sorted(f"{other}.html" for other in order[max(at - 1, 0) : at + 2] if other != name)


@pytest.mark.parametrize("name", OTHERS[1:])
def test_a_document_opens_is_accessible_and_leads_to_pages(name, site, browser):
    page, wrong = open_page(browser, f"{site}/{name}.html")
    resize(page)
    assert wrong == [] and serious_findings(page) == {}
    for link in set(page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")):
        address = urldefrag(link).url
        assert not address.startswith(site) or fetched(address), f"{link} leads nowhere"
    resize(page, PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    page.close()


def test_search_finds_a_page(site, browser):
    page, wrong = open_page(browser, f"{site}/search.html?q=leakage")
    resize(page)
    page.wait_for_function("""/finished/.test(document.querySelector(".search-summary")?.textContent)
        && [...document.querySelectorAll("#search-results li")].every(found => found.children.length > 1)""")
    assert any("02_spectral" in a.get_attribute("href") for a in page.locator("#search-results li a").all())
    assert wrong == []
    page.close()
