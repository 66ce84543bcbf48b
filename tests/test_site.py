"""The site: built anew, served on loopback, and every page opened in headless Chromium."""

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urldefrag

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["index", *sorted(path.stem for path in (ROOT / "results" / "notebooks").glob("*.ipynb"))[1:]]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

playwright = pytest.importorskip("playwright.sync_api", reason="the site's tests need playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="the site's tests need Chromium")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Address of the site, built by what make site calls."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, ROOT / "site" / "build.py", folder], check=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder / "html")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    options = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=options)
        yield chromium
        chromium.close()


def opened(browser, address, **options):
    """A page after its formulas are set, and all that went wrong or left the site on the way."""
    page, wrong = browser.new_page(**options), []
    home = "/".join(address.split("/")[:3])
    page.on(
        "request", lambda request: request.url.startswith((home, "data:")) or wrong.append(f"leaves: {request.url}")
    )
    page.on("response", lambda response: response.status < 400 or wrong.append(f"{response.status}: {response.url}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on("console", lambda message: message.type != "error" or wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.goto(address, wait_until="networkidle")
    page.evaluate("window.MathJax && MathJax.startup.promise")
    return page, wrong


def serious_findings(page):
    """What axe finds, of serious or critical impact: rule -> first place."""
    violations = axe.Axe().run(page).response["violations"]
    return {v["id"]: v["nodes"][0]["html"] for v in violations if v["impact"] in ("serious", "critical")}


@pytest.mark.parametrize("name", PAGES)
class TestPage:
    def test_opens_without_an_error_or_a_request_elsewhere_and_is_accessible(self, site, browser, name):
        page, wrong = opened(browser, f"{site}/{name}.html")
        assert wrong == []
        assert page.locator(".math mjx-container").count() == page.locator(".math").count()
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
        assert not any("$" in text for text in page.locator("article p, article td").all_inner_texts())
        for figure in page.locator(".cell_output img").all():
            assert len(figure.get_attribute("alt") or "") >= 50
            assert figure.evaluate("image => image.naturalWidth") > 0
        assert serious_findings(page) == {}
        page.close()

    def test_is_accessible_in_the_dark(self, site, browser, name):
        page, _ = opened(browser, f"{site}/{name}.html", color_scheme="dark")
        assert serious_findings(page) == {}
        page.close()

    def test_fits_a_phone(self, site, browser, name):
        page, _ = opened(browser, f"{site}/{name}.html", viewport={"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.close()


def test_every_internal_link_resolves(site, browser):
    page, anchors, links = browser.new_page(), {}, set()
    for name in PAGES:
        page.goto(f"{site}/{name}.html")
        links |= {
            href
            for href in page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
            if href.startswith(site)
        }
        anchors[f"{site}/{name}.html"] = set(page.eval_on_selector_all("[id]", "all => all.map(e => e.id)"))
    for link in sorted(links):
        address, anchor = urldefrag(link)
        assert page.request.get(address).ok, f"{link} leads nowhere"
        assert not anchor or address not in anchors or anchor in anchors[address], f"{link} has no such place"


def test_search_finds_a_page(site, browser):
    page, wrong = opened(browser, f"{site}/search.html?q=leakage")
    page.wait_for_selector("#search-results li a")
    assert any("02_spectral" in a.get_attribute("href") for a in page.locator("#search-results li a").all())
    assert wrong == []


def test_pages_lead_to_the_next_and_back(site, browser):
    page, _ = opened(browser, f"{site}/{PAGES[1]}.html")
    assert page.locator("a.next-page").get_attribute("href") == f"{PAGES[2]}.html"
    assert page.locator("a.prev-page").get_attribute("href") == "index.html"
