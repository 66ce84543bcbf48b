"""Prints the whole report as one PDF: Sphinx makes one page of it, Chromium prints that."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from build import PLAYGROUND, assemble
from sphinx.cmd.build import build_main

from harmonics_lib.paths import build_dir
from harmonics_lib.report.prose import pages_url

HERE = Path(__file__).resolve().parent
_LINK = re.compile(r'<li class="toctree-l1"><a class="reference internal" href="#document-(?!playground).*?</a>')


def for_print(html: str) -> str:
    """The one page with its contents in front, solutions unfolded, and what is to play with on the web."""
    contents = "</li>".join(dict.fromkeys(_LINK.findall(html)))
    html = html.replace("</h1>", f'</h1><nav aria-label="Contents"><ol>{contents}</li></ol></nav>', 1)
    html = html.replace("<details>", "<details open>")
    html = html.replace(f'href="#document-{PLAYGROUND}"', f'href="{pages_url()}{PLAYGROUND}.html"')
    style = (HERE / "print.css").read_text(encoding="utf-8")
    return html.replace("</head>", f"<style>{style}</style></head>", 1)


def main(folder: Path) -> int:
    """Make ``report.pdf`` in ``folder``; an exit code."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        print("make pdf prints with Chromium: expected chromium or google-chrome on the path, found neither.")
        return 1
    source, made = folder / "pdf" / "source", folder / "pdf" / "html"
    assemble(source)
    options = ["-q", "-E", "-b", "singlehtml", "-c", str(HERE), "-d", str(folder / "pdf" / "doctrees")]
    if failed := build_main([*options, str(source), str(made)]):
        return failed
    page = made / "index.html"
    page.write_text(for_print(page.read_text(encoding="utf-8")), encoding="utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
    target = folder / "report.pdf"
    done = subprocess.run([*command, f"--print-to-pdf={target}", page.resolve().as_uri()], capture_output=True)
    return done.returncode or int(not target.exists())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else build_dir() / "site"))
