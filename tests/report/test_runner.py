"""The runner publishes what succeeded, keeps what failed aside, and never harms the last good results."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from harmonics_lib.report import runner
from harmonics_lib.report.__main__ import main
from harmonics_lib.report.prose import ReportError, fill_numbers, notebook_paths
from harmonics_lib.report.runner import run_notebook

GOOD = [
    "import sys, matplotlib.pyplot as plt\nfrom harmonics_lib.report.findings import Findings",
    "findings = Findings('90_test', profile)\nprint('warned', file=sys.stderr)",
    "fig, ax = plt.subplots()\nax.plot([0, 1], [1, factor])\nfindings.figure(fig, 'line', 'A line.')",
    "findings.value('factor', factor)",
    "findings.claim('small', 'The factor is small', factor, '<=', 5)\nfindings.save()",
]
#: Stages the numbers of the good notebook without importing what it does, which takes two seconds.
STAGES = (
    "import json, pathlib\nmetrics = pathlib.Path('staging/90_test/metrics')\nmetrics.mkdir()\n"
    "(metrics / '90_test.json').write_text(json.dumps({'values': {'factor': factor}, 'claims': []}))"
)


def notebook(folder, *cells, parameters="profile = 'full'\nfactor = 2", prose="# Test"):
    """A small report notebook, and what it does."""
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = new_notebook(cells=[new_markdown_cell(prose), first, *map(new_code_cell, cells)], metadata=metadata)
    for index, cell in enumerate(book.cells):
        cell.id = f"cell-{index}"
    path = folder / "90_test.ipynb"
    nbformat.write(book, path)
    return path


def prepare(folder, monkeypatch):
    monkeypatch.setenv("HARMONICS_BUILD", str(folder / "build"))
    monkeypatch.setenv("HARMONICS_RESULTS", str(folder / "results"))
    for name in runner.FOREIGN_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    (folder / "build").mkdir()
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for everything that a report writes."""
    return prepare(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """What a good notebook publishes; it is run once for all tests that begin with it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = prepare(tmp_path_factory.mktemp("good"), monkeypatch)
        run_notebook(notebook(folder, *GOOD), "full")
        yield contents(folder / "results")


@pytest.fixture
def published(place, good):
    """A place where a good notebook was published."""
    for name, content in good.items():
        path = place / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return place


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_success_publishes_notebook_figures_and_metrics_and_a_second_run_changes_nothing(published, good, place):
    assert set(good) == {
        "notebooks/90_test.ipynb",
        "figures/90_test/line.svg",
        "figures/90_test/line.png",
        "metrics/90_test.json",
        "SHA256SUMS",
    }
    run_notebook(notebook(place, *GOOD), "full")
    assert contents(place / "results") == good
    text = good["notebooks/90_test.ipynb"].decode()
    assert "image/png" in text
    assert "warned" not in text.replace("print('warned'", "") and str(place) not in text and "papermill" not in text
    assert not (place / "build" / "staging" / "90_test").exists()


def test_the_quick_profile_is_a_parameter(place):
    run_notebook(notebook(place, *GOOD), "quick")
    assert json.loads((place / "results/metrics/90_test.json").read_text())["provenance"]["profile"] == "quick"


@pytest.mark.parametrize(
    "cells, said",
    [
        ([STAGES, "1 / 0"], "cell 4: ZeroDivisionError: division by zero"),
        ([STAGES, "assert 1 == 2"], "cell 4: AssertionError"),
        ([*GOOD, "findings.claim('no', 'Two is one', 2, '==', 1)\nfindings.save()"], "cell 8: ClaimFailed: Two is one"),
        ([STAGES, "import sys\nsys.exit(0)"], "cell 4: SystemExit: the cells after it did not run"),
        ([STAGES, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"], "cell 4: the kernel died"),
    ],
)
def test_a_failure_says_where_and_leaves_the_last_good_results(published, good, place, cells, said):
    with pytest.raises(ReportError, match=f"90_test, {said}") as error:
        run_notebook(notebook(place, *cells, parameters="profile = 'full'\nfactor = 3"), "full")
    assert "\n" not in str(error.value)
    assert contents(place / "results") == good
    kept = nbformat.read(place / "build/failed/90_test.ipynb", as_version=4)
    if "died" not in said:
        assert any(output.output_type == "error" for c in kept.cells for output in c.get("outputs", []))


@pytest.mark.parametrize(
    "text, said",
    [('{"cells": [', "truncated or foreign"), ("[]", "truncated or foreign"), ("", "truncated or foreign")],
)
def test_what_is_no_notebook_is_refused(place, text, said):
    path = notebook(place, *GOOD)
    path.write_text(text)
    with pytest.raises(ReportError, match="90_test: expected a notebook, got a file that is truncated or foreign"):
        run_notebook(path, "full")


def test_a_notebook_of_another_language_is_refused(place):
    path = notebook(place, *GOOD)
    book = nbformat.read(path, as_version=4)
    book.metadata.kernelspec = {"name": "julia-1.10", "display_name": "Julia", "language": "julia"}
    nbformat.write(book, path)
    with pytest.raises(ReportError, match="expected a notebook of Python, its kernel speaks julia"):
        run_notebook(path, "full")


def test_an_unknown_parameter_is_refused(place):
    with pytest.raises(ReportError, match="no parameter profile; it has factor"):
        run_notebook(notebook(place, parameters="factor = 2"), "quick")


def test_ctrl_c_ends_with_one_clear_line_and_the_old_results(published, good, place):
    path = notebook(place, "open('started', 'w').close()\nimport time\ntime.sleep(3600)")
    script = (
        "import sys, pathlib, harmonics_lib.report.__main__ as r\n"
        f"r.notebook_paths = lambda selection: [pathlib.Path({str(path)!r})]\n"
        "r.main(['run'])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    while not (place / "build" / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "FAILED 90_test: interrupted" in stderr and "Traceback" not in stderr
    assert contents(place / "results") == good


def test_a_training_bar_is_read_aloud_and_not_published(place, capsys):
    training = (
        "from harmonics_lib import *\nfrom harmonics_lib.networks.recurrent import SmallLSTM\n"
        "config = TrainingConfig(batch_size=4, report_every=5, validation_size=4)\n"
        "tiny = Run(SmallLSTM, (Stage(HarmonicProcess(), 20),), config, {'hidden': 4})\n"
        "train_missing({'tiny': tiny}, '90_test')"
    )
    run_notebook(notebook(place, training), "full")
    assert "step/s" not in (place / "results/notebooks/90_test.ipynb").read_text()
    assert "SmallLSTM: 100%" in capsys.readouterr().err
    assert "HARMONICS_PROGRESS" not in os.environ


def test_the_quick_profile_tracks_a_training_offline_though_somebody_is_logged_in(place, monkeypatch):
    training = (
        "from harmonics_lib import *\nfrom harmonics_lib.networks.recurrent import SmallLSTM\n"
        "from harmonics_lib.training.wandb_mirror import wandb_mode\n"
        "assert wandb_mode() == 'offline'\n"
        "config = TrainingConfig(batch_size=4, report_every=2, validation_size=4)\n"
        "tiny = Run(SmallLSTM, (Stage(HarmonicProcess(), 2),), config, {'hidden': 4})\n"
        "train_missing({'tiny': tiny}, '90_test', track=True)"
    )
    script = (
        "import pathlib, harmonics_lib.report.__main__ as r\n"
        f"r.repository = lambda: pathlib.Path({str(place)!r})\n"
        f"r.notebook_paths = lambda selection: [pathlib.Path({str(notebook(place, training))!r})]\n"
        "r.main(['run', '--quick'])"
    )
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    subprocess.run([sys.executable, "-c", script], check=True)
    assert len(list(place.glob("build/quick/runs/tiny-*/wandb/offline-run-*/run-*.wandb"))) == 1


METRICS = {"90": {"values": {"factor": 2.0}, "claims": [{"name": "small", "bound": 5}]}}


def test_placeholders_are_filled_with_the_numbers_of_the_metrics():
    assert fill_numbers("is {{90.factor:.2f}}, below {{90.small.bound:.0f}}", METRICS) == "is 2.00, below 5"
    assert fill_numbers("{{90.factor:.0f}} and {{91.other:.0f}}", METRICS, ["90"]) == "2 and {{91.other:.0f}}"
    assert fill_numbers("{{90.factor:.0f}} and {{90.other:.0f}}", METRICS, ()) == "2 and {{90.other:.0f}}"


@pytest.mark.parametrize("formula", [r"$\frac{{a}}{b}$", "$x^{{10}}$", "{{}}", "$e^{{-x}}$"])
def test_braces_of_formulas_are_no_placeholders(formula):
    assert fill_numbers(formula, METRICS) == formula


@pytest.mark.parametrize("wrong", ["90.nothing:f", "90.small.bound.x:f", "91.factor:f", "90.factor", "90.factor:q"])
def test_a_placeholder_that_cannot_be_filled_is_refused(wrong):
    with pytest.raises(ReportError, match=rf"^the prose quotes \{{\{{{re.escape(wrong)}\}}\}}: expected .*$"):
        fill_numbers(f"{{{{{wrong}}}}}", METRICS)


def test_the_executed_copy_holds_the_numbers_and_the_source_its_placeholders(place):
    path = notebook(place, STAGES, prose="The factor is {{90.factor:.1f}}; elsewhere {{91.other:.0f}}.")
    source = path.read_bytes()
    run_notebook(path, "full")
    assert path.read_bytes() == source
    executed = nbformat.read(place / "results/notebooks/90_test.ipynb", as_version=4)
    assert executed.cells[0].source == "The factor is 2.0; elsewhere {{91.other:.0f}}."


def test_a_number_that_the_notebook_does_not_find_fails_it(published, good, place):
    with pytest.raises(ReportError, match=r"^90_test: the prose quotes \{\{90\.gone:\.1f\}\}"):
        run_notebook(notebook(place, STAGES, prose="{{90.gone:.1f}}"), "full")
    assert contents(place / "results") == good


class Pretended:
    """Notebooks that only say when they begin and end; ``trained`` and ``failing`` are numbers of some."""

    def __init__(self, monkeypatch, trained=(), failing=(), cores=2):
        self.said, self.trained, self.failing, self.most = [], set(trained), set(failing), 0
        monkeypatch.setattr(runner, "run_notebook", self.run)
        monkeypatch.setattr(runner.joblib, "cpu_count", lambda: cores)

    def run(self, source, profile):
        number = source.stem[:2]
        self.said.append(f"{number} begins")
        running = sum(1 if line.endswith("begins") else -1 for line in self.said)
        self.most = max(self.most, running)
        time.sleep(0.02)
        self.said.append(f"{number} ends")
        if number in self.failing:
            raise ReportError(f"{number} failed")
        trained = number in self.trained
        self.trained -= {number}
        return SimpleNamespace(trained=trained)


def outcomes(profile="full"):
    return {path.stem[:2]: outcome for path, outcome in runner.run_notebooks(notebook_paths(), profile)}


def test_notebooks_run_side_by_side_and_the_overview_when_all_have_ended(monkeypatch):
    report = Pretended(monkeypatch)
    assert sorted(outcomes()) == [path.stem[:2] for path in notebook_paths()]
    assert report.most == 2
    assert report.said[-2:] == ["00 begins", "00 ends"]


def test_after_a_failure_no_notebook_begins_and_those_that_run_end(monkeypatch):
    report = Pretended(monkeypatch, failing=["03"])
    ended = outcomes()
    assert isinstance(ended["03"], ReportError) and 2 <= len(ended) <= 4 and "00" not in ended
    assert len(report.said) == 2 * len(ended)


@pytest.mark.parametrize("case", ["quick", "retraining"])
def test_where_networks_are_trained_a_notebook_that_loads_them_waits(monkeypatch, case):
    if case == "retraining":
        monkeypatch.setenv("HARMONICS_RETRAIN", "1")
    report = Pretended(monkeypatch, trained=["03", "11"], cores=3)
    outcomes("quick" if case == "quick" else "full")
    assert report.most == (3 if case == "quick" else 1)
    for number in ("03", "04", "05", "11"):
        assert report.said.index(f"{number} ends") < report.said.index("06 begins")
    assert report.said.count("06 begins") == 1


def test_a_notebook_that_loaded_networks_before_they_were_trained_runs_again(monkeypatch):
    report = Pretended(monkeypatch, trained=["03"], cores=4)
    outcomes()
    first = report.said.index("03 ends")
    assert "04 begins" in report.said[first:] and "06 begins" in report.said[first:]
    assert report.said[-1] == "00 ends"


@pytest.mark.parametrize("command", [["run", "--notebooks", "98"], ["train", "small_lstm"]])
def test_a_second_report_in_one_build_folder_is_refused(place, monkeypatch, capsys, command):
    for name, value in runner.KERNEL_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    script = "import sys, filelock; lock = filelock.FileLock(sys.argv[1])\nlock.acquire(); print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script, place / "build" / "lock"], **pipes) as holder:
        holder.stdout.readline()
        with pytest.raises(SystemExit) as end:
            main(command)
        assert end.value.code == 1
        said = capsys.readouterr().err
        assert re.fullmatch(r"FAILED another report or training is at work in \S+: wait until it ends\n", said)
        holder.kill()
    with pytest.raises(SystemExit):
        main(["run", "--notebooks", "98"])
    assert "no notebook 98" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "prose", "badges", "train small_lstm"])
def test_without_the_checkout_there_is_a_sentence(place, monkeypatch, capsys, command):
    monkeypatch.setattr("harmonics_lib.report.prose.checkout", lambda: None)
    with pytest.raises(SystemExit):
        main(command.split())
    assert re.fullmatch(r"FAILED the report needs the checkout .*\n", capsys.readouterr().err)


@pytest.mark.parametrize("variable", ["HARMONICS_BUILD", "HARMONICS_RESULTS"])
def test_a_folder_that_is_a_file_or_cannot_be_made_is_refused_in_a_sentence(place, monkeypatch, capsys, variable):
    for name, value in runner.KERNEL_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (place / "file").write_text("")
    for path in (place / "file", place / "file" / "below"):
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(SystemExit):
            main(["run"])
        assert re.fullmatch(r"FAILED .*file.*\n", capsys.readouterr().err)


def test_an_unknown_notebook_number_is_refused():
    with pytest.raises(ReportError, match="no notebook 98 99; there are"):
        notebook_paths("01 98 99")


def test_a_failing_command_has_a_failing_status(place):
    process = subprocess.run(
        [sys.executable, "-m", "harmonics_lib.report", "run", "--notebooks", "98"],
        env=os.environ,
        capture_output=True,
        text=True,
        cwd=Path(runner.__file__).parents[2],
    )
    assert process.returncode == 1 and process.stderr.startswith("FAILED no notebook 98")
