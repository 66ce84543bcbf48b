"""A published notebook in Colab: its packages, a kernel that is running, a stand-in module, a local git URL."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from harmonics_lib.report.prose import colab_setup

ROOT = Path(__file__).resolve().parents[1]
#: What Colab has had in its kernels for long; replacing it in a kernel that is running breaks it.
COLAB = ["ipython==7.34.0", "ipykernel==6.17.1", "ipywidgets==7.7.1", "numpy==2.0.2", "pandas==2.2.2"]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def colab(tmp_path):
    """The Python of an environment like Colab's, whose kernel is called "colab"."""
    python = tmp_path / "venv" / "bin" / "python"
    torch = re.search(r"^torch==.*$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)[0]
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", *COLAB, torch)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").write_text("")
    (site / "sitecustomize.py").write_text("import google.colab\n")
    kernel = tmp_path / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Colab", "language": "python"}))
    return python


def installed(python):
    listed = json.loads(run(python, "-m", "pip", "list", "--format=json"))
    return {package["name"].lower(): package["version"] for package in listed}


@pytest.mark.colab
def test_the_setup_cell_is_all_that_a_notebook_needs_and_replaces_nothing_that_colab_has(tmp_path, colab):
    before = installed(colab)
    notebook = nbformat.read(ROOT / "results" / "notebooks" / "03_small_lstm.ipynb", as_version=4)
    (setup,) = [cell for cell in notebook.cells if "colab" in cell.metadata.get("tags", [])]
    setup.source = colab_setup(ROOT.as_uri())
    nbformat.write(notebook, tmp_path / "03_small_lstm.ipynb")

    foreign = ("PYTHONPATH", "JUPYTER_PATH", "VIRTUAL_ENV", "PIP_CONSTRAINT")
    environment = {k: v for k, v in os.environ.items() if k not in foreign and not k.startswith("HARMONICS_")}
    papermill = (sys.executable, "-m", "papermill", "-k", "colab", "03_small_lstm.ipynb", "executed.ipynb")
    run(*papermill, cwd=tmp_path, env=environment | {"JUPYTER_PATH": str(tmp_path / "jupyter")})

    assert (tmp_path / "build" / "staging" / "03_small_lstm" / "metrics" / "03_small_lstm.json").exists()
    assert not (tmp_path / "build" / "runs").exists(), "it trained, though the weights are published"
    after = installed(colab)
    assert {name: after[name] for name in before} == before
