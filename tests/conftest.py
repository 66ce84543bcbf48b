"""What tests of several files share: cells of notebooks, the order in which workers take tests, the site, a browser."""

import ast
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HANGS = 180_000  # milliseconds after which nothing comes any more


#: What takes long comes first, and the site is built by one worker while others run notebooks.
ORDER = ("tests/site/test_moving.py", "results/notebooks/", "tests/site/", "tests/report/", "tests/training/", "")
#: Files of which one worker runs all tests, which share what takes long.
WHOLE = (*ORDER[:3], "tests/report/test_runner.py", "tests/training/test_distributed.py")


@pytest.hookimpl(optionalhook=True)  # make peers runs its tests without xdist
def pytest_xdist_make_scheduler(config, log):
    """Give a worker a notebook, a page of the site, a file whose tests share much, or a test at a time."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            if page := re.search(r"::TestPage::.*\[(\w+)", nodeid):
                return page[1]
            return nodeid.partition("::")[0] if nodeid.startswith(WHOLE) else nodeid

    config.option.loadscopereorder = False
    return Scheduler(config, log)


def pytest_collection_modifyitems(items):
    """Cells that are compared run those before them."""
    items[:] = sorted(_compared(items), key=lambda item: [item.nodeid.startswith(part) for part in ORDER].index(True))


def _compared(items):
    """The items; of a notebook's cells those whose outputs are compared, each of which first runs those before it.

    Pictures are not compared, so cells that only draw are left out. Where one is missed, names are missing or outputs
    differ, and the test fails.
    """
    before = {}
    for index, item in enumerate(items):
        if item.path.suffix != ".ipynb":
            yield item
        elif item.options["check"]:
            item.runtest = functools.partial(_run, [*before.pop(item.path, []), item], type(item).runtest)
            yield item
        elif not item.options["skip"] and not _only_draws(item, items[index + 1 :]):
            before.setdefault(item.path, []).append(item)


def _run(cells, run):
    for cell in cells:
        run(cell)


def _only_draws(cell, following):
    """Whether a cell shows a figure and binds no name that a later cell of its notebook reads before it binds it."""
    if not re.search(r"\bfindings\.(figure|animation)\(", cell.cell.source):
        return False
    later = [_names(other) for other in following if other.path == cell.path]
    return not _names(cell)[0] & set().union(*(read - bound for bound, read in later))


def _names(cell):
    """The names that a cell binds, and those that it reads."""
    nodes = list(ast.walk(ast.parse(cell.cell.source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return bound, {name.id for name in names if isinstance(name.ctx, ast.Load)}


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and the playground's modules as they are written under /modules."""

    def translate_path(self, path):
        if path.startswith("/modules/"):
            return str(ROOT / "site" / "playground" / path.partition("?")[0].removeprefix("/modules/"))
        return super().translate_path(path)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def serve():
    """A function that serves a folder until the tests end, and returns its address."""
    servers = []

    def address(folder):
        handler = functools.partial(Pages, directory=folder)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield address
    for server in servers:
        server.shutdown()


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory):
    """The pages that make site makes; one worker builds them for all."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of the run, not of this worker
    folder = shared / "site"
    with FileLock(shared / "site.lock"):
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, ROOT / "site" / "build.py", folder], check=True)
            (folder / "complete").touch()
    return folder / "html"


@pytest.fixture(scope="session")
def site(site_folder, serve):
    """Address of the site."""
    return serve(site_folder)


@pytest.fixture(scope="module")
def browser():
    """One context for all pages of a file, so that what they share is fetched once."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pages are opened with playwright")
    pytest.importorskip("axe_playwright_python.sync_playwright", reason="pages are judged with axe")
    if not CHROMIUM:
        pytest.skip("pages are opened in Chromium, which is not on the path")
    options = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=options)
        context = chromium.new_context()
        context.set_default_timeout(HANGS)
        yield context
        chromium.close()


@pytest.fixture(scope="module")
def modules(site, browser):
    """A page from which the playground's modules can be imported."""
    page = browser.new_page()
    page.goto(f"{site}/modules/chart.js")
    yield page
    page.close()
