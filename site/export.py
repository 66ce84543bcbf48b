"""Writes what the playground and the figures that move need: scripts, style sheets, and the networks' weights.

Pages have to work from a disk, too, where browsers load neither modules nor data. So the modules
become one script, each in a scope of its own, and weights become scripts that are loaded when they are wanted.
"""

import base64
import json
import re
import shutil
import zlib
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from harmonics_lib.forecasters.estimates import white_noise_level
from harmonics_lib.paths import results_dir
from harmonics_lib.published.networks import NETWORKS
from harmonics_lib.report.plotting import METHODS

HERE = Path(__file__).resolve().parent / "playground"
# Figures that move: notebook and still that each comes after -> its script, and the colour that the report gives it.
MOVING = {
    ("02_spectral_leakage", "dirichlet"): ("leakage", METHODS["DFT"][0]),
    ("03_small_lstm", "free_running"): ("free_running", METHODS["small LSTM"][0]),
    ("06_limits", "posterior"): ("propagation", METHODS["sparse Bayesian"][0]),
    ("09_state_space", "roots"): ("eigenvalues", "#D55E00"),
}
_MOVING = """<link rel="stylesheet" href="playground/toolkit.css">
<link rel="stylesheet" href="moving/moving.css">
<script defer src="moving/{name}.js"></script>
<figure class="moving" id="{name}" style="--colour: {colour}" data-white="{white!r}" hidden></figure>"""
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|const) (\w+))", re.MULTILINE)


def export(folder: Path) -> None:
    """Write the playground's files into ``folder``, and those of the figures that move beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "playground.js").write_text(joined("app"), encoding="utf-8")
    for sheet in ("toolkit.css", "playground.css"):
        shutil.copy(HERE / sheet, folder)
    beside = folder.parent / "moving"
    beside.mkdir(exist_ok=True)
    shutil.copy(HERE / "moving.css", beside)
    for name, _ in MOVING.values():
        (beside / f"{name}.js").write_text(joined(name), encoding="utf-8")
    for name in NETWORKS:
        (folder / f"{name}.js").write_text(_packed(name), encoding="utf-8")


def page() -> str:
    """The page's content as HTML, with what it takes from the report: styles, networks' trainings, a constant."""
    report = {"white": white_noise_level(100), "styles": METHODS, "learned": NETWORKS}
    return (HERE / "page.html").read_text(encoding="utf-8").replace("REPORT", json.dumps(report))


def moving(notebook: str, still: str) -> str | None:
    """HTML of the figure that moves after this still, with its script and style sheets; None if there is none."""
    if (notebook, still) not in MOVING:
        return None
    name, colour = MOVING[notebook, still]
    return _MOVING.format(name=name, colour=colour, white=white_noise_level(100))


def joined(name: str) -> str:
    """The module of that name and all that it imports, as one script."""
    order: list[str] = []
    _visit(name, order)
    scopes = "\n".join(_scope(module) for module in order)
    return f'"use strict";\n{{\nconst modules = {{}};\n{scopes}}}\n'


def _visit(name: str, order: list[str]) -> None:
    if name not in order:
        for _, other in _IMPORT.findall(_source(name)):
            _visit(other, order)
        order.append(name)


def _source(name: str) -> str:
    return (HERE / f"{name}.js").read_text(encoding="utf-8")


def _scope(name: str) -> str:
    """A module as a function that is called once: imports come from those before it, exports are what it returns."""
    source = _IMPORT.sub(r"const \1 = modules.\2;", _source(name))
    exports = ", ".join(exported for _, exported in _EXPORT.findall(source))
    body = _EXPORT.sub(r"\1", source)
    return f"modules.{name} = (() => {{\n{body}return {{ {exports} }};\n}})();\n"


def _packed(name: str) -> str:
    """A network as a script: its description, and the bytes of its numbers, all first ones first, deflated."""
    folder = results_dir() / "models" / name
    weights = load_file(folder / "weights.safetensors")
    description = json.loads((folder / "config.json").read_text(encoding="utf-8"))["network"]
    description["shapes"] = [[key, tensor.shape] for key, tensor in weights.items()]
    numbers = np.concatenate([tensor.ravel() for tensor in weights.values()]).astype("<f4")
    planes = numbers.view(np.uint8).reshape(-1, 4).T.tobytes()
    packed = base64.b64encode(zlib.compress(planes, 9)).decode()
    return f'publishNetwork("{name}", {json.dumps(description)}, "{packed}");\n'
