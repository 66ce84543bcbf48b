"""The runner publishes what succeeded, keeps what failed aside, and never harms the last good results."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from harmonics_lib import report
from harmonics_lib.report import ReportError, fill_numbers, run_notebook

GOOD = [
    "import sys, matplotlib.pyplot as plt\nfrom harmonics_lib.results import Findings",
    "findings = Findings('90_test', profile)\nprint('warned', file=sys.stderr)",
    "fig, ax = plt.subplots()\nax.plot([0, 1], [1, factor])\nfindings.figure(fig, 'line')\nplt.show()",
    "findings.value('factor', factor)",
    "findings.claim('small', 'The factor is small', factor, '<=', 5)\nfindings.save()",
]


def notebook(folder, *cells, parameters="profile = 'full'\nfactor = 2"):
    """A small report notebook, and what it does."""
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = new_notebook(cells=[new_markdown_cell("# Test"), first, *map(new_code_cell, cells)], metadata=metadata)
    for index, cell in enumerate(book.cells):
        cell.id = f"cell-{index}"
    path = folder / "90_test.ipynb"
    nbformat.write(book, path)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICS_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("HARMONICS_RESULTS", str(tmp_path / "results"))
    for name in report._FOREIGN_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "build").mkdir()
    return tmp_path


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_success_publishes_notebook_figures_and_metrics_and_a_second_run_changes_nothing(place):
    path = notebook(place, *GOOD)
    run_notebook(path, "full")
    first = contents(place / "results")
    assert set(first) == {
        "notebooks/90_test.ipynb",
        "figures/90_test/line.svg",
        "figures/90_test/line.png",
        "metrics/90_test.json",
    }
    run_notebook(path, "full")
    assert contents(place / "results") == first
    text = first["notebooks/90_test.ipynb"].decode()
    assert "image/png" in text
    assert "warned" not in text.replace("print('warned'", "") and str(place) not in text and "papermill" not in text
    assert not (place / "build" / "staging" / "90_test").exists()


def test_the_quick_profile_is_a_parameter(place):
    run_notebook(notebook(place, *GOOD), "quick")
    assert json.loads((place / "results/metrics/90_test.json").read_text())["provenance"]["profile"] == "quick"


@pytest.mark.parametrize(
    "cell, said",
    [
        ("1 / 0", "90_test, cell 8: ZeroDivisionError: division by zero"),
        ("findings.claim('no', 'Two is one', 2, '==', 1)\nfindings.save()", "90_test, cell 8: ClaimFailed: Two is one"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "90_test, cell 8: the kernel died"),
    ],
)
def test_a_failure_says_where_and_leaves_the_last_good_results(place, cell, said):
    run_notebook(notebook(place, *GOOD), "full")
    good = contents(place / "results")
    with pytest.raises(ReportError, match=said) as error:
        run_notebook(notebook(place, *GOOD, cell, parameters="profile = 'full'\nfactor = 3"), "full")
    assert "\n" not in str(error.value)
    assert contents(place / "results") == good
    kept = nbformat.read(place / "build/failed/90_test.ipynb", as_version=4)
    if "died" not in said:
        assert any(output.output_type == "error" for c in kept.cells for output in c.get("outputs", []))


def test_an_unknown_parameter_is_refused(place):
    with pytest.raises(ReportError, match="no parameter profile; it has factor"):
        run_notebook(notebook(place, parameters="factor = 2"), "quick")


def test_ctrl_c_ends_with_one_clear_line_and_the_old_results(place):
    run_notebook(notebook(place, *GOOD), "full")
    good = contents(place / "results")
    path = notebook(place, "open('started', 'w').close()\nimport time\ntime.sleep(60)")
    script = (
        "import sys, pathlib, harmonics_lib.report as r\n"
        f"r.notebook_paths = lambda selection: [pathlib.Path({str(path)!r})]\n"
        "r.main(['run'])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (place / "build" / "started").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "FAILED 90_test: interrupted" in stderr and "Traceback" not in stderr
    assert contents(place / "results") == good


def test_a_training_bar_is_read_aloud_and_not_published(place):
    training = (
        "import os\nfrom tqdm import tqdm\n"
        "with open(os.environ['HARMONICS_PROGRESS'], 'w') as stream:\n"
        "    for _ in tqdm(range(3), file=stream): pass"
    )
    run_notebook(notebook(place, training), "full")
    assert "it/s" not in (place / "results/notebooks/90_test.ipynb").read_text()


def test_numbers_in_prose_come_from_the_metrics(place):
    run_notebook(notebook(place, *GOOD), "full")
    assert fill_numbers("is <!--90_test.factor:.2f-->9<!---->.") == "is <!--90_test.factor:.2f-->2.00<!---->."
    assert (
        fill_numbers("below <!--90_test.small.bound:.0f-->9<!---->") == "below <!--90_test.small.bound:.0f-->5<!---->"
    )
    with pytest.raises(ReportError, match=r"90_test\.nothing"):
        fill_numbers("<!--90_test.nothing:.2f-->9<!---->")


def test_an_unknown_notebook_number_is_refused():
    with pytest.raises(ReportError, match="no notebook 98 99; there are"):
        report.notebook_paths("01 98 99")


def test_a_failing_command_has_a_failing_status(place):
    process = subprocess.run(
        [sys.executable, "-m", "harmonics_lib.report", "run", "--notebooks", "98"],
        env=os.environ,
        capture_output=True,
        text=True,
        cwd=Path(report.__file__).parents[1],
    )
    assert process.returncode == 1 and process.stderr.startswith("FAILED no notebook 98")
