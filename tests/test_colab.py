"""A notebook in Colab: an empty environment outside the checkout, a stand-in module, a local git URL."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from harmonics_lib.prose import colab_setup

ROOT = Path(__file__).resolve().parents[1]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.colab
def test_the_setup_cell_is_all_that_a_notebook_needs(tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    torch = re.search(r"^torch==.*$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)[0]
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "papermill", "ipykernel", torch)  # as in Colab, where torch is present
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").write_text("")
    (site / "sitecustomize.py").write_text("import google.colab\n")

    notebook = nbformat.read(ROOT / "notebooks" / "03_small_lstm.ipynb", as_version=4)
    (setup,) = [cell for cell in notebook.cells if "colab" in cell.metadata.get("tags", [])]
    setup.source = colab_setup(f"file://{ROOT}")
    nbformat.write(notebook, tmp_path / "03_small_lstm.ipynb")

    foreign = ("PYTHONPATH", "JUPYTER_PATH", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if k not in foreign and not k.startswith("HARMONICS_")}
    run(
        *(python, "-m", "papermill", "-k", "python3", "03_small_lstm.ipynb", "executed.ipynb"),
        cwd=tmp_path,
        env=environment,
    )
    assert (tmp_path / "build" / "staging" / "03_small_lstm" / "metrics" / "03_small_lstm.json").exists()
    assert not (tmp_path / "build" / "runs").exists(), "it trained, though the weights are published"
