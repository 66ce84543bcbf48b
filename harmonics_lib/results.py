"""Where results live, metrics with their provenance, claims that are checked, and published networks."""

import copy
import importlib.metadata
import json
import math
import operator
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Image, display
from matplotlib.animation import Animation, PillowWriter
from matplotlib.figure import Figure
from torch import Tensor, nn

from harmonics_lib.classical import Forecaster
from harmonics_lib.networks import build
from harmonics_lib.signals import check_lookback
from harmonics_lib.tracking import read_config, read_weights, write_atomically
from harmonics_lib.training import Stage, TrainingConfig, describe, rebuild, train

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}
_VERSIONED = ("torch", "numpy", "scipy", "matplotlib", "harmonics-lib")


class ClaimFailed(AssertionError):
    """A finding of the report does not hold."""


def checkout() -> Path | None:
    """The folder of the project, or None where only the package is installed."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").exists() else None


def results_dir() -> Path:
    """Published results: ``HARMONICS_RESULTS``, else the checkout's, else those inside the package."""
    if path := os.environ.get("HARMONICS_RESULTS"):
        return Path(path)
    return _shipped_results()


def _shipped_results() -> Path:
    return (checkout() or Path(__file__).resolve().parent) / "results"


def load_benchmark(name: str) -> dict:
    """What ``make bench`` measured last; times differ from run to run, so a report only quotes them."""
    return json.loads((_shipped_results() / "benchmarks" / f"{name}.json").read_text())


def build_dir() -> Path:
    """Work in progress: ``HARMONICS_BUILD``, else ``build`` in the checkout or the working directory."""
    if path := os.environ.get("HARMONICS_BUILD"):
        return Path(path)
    return (checkout() or Path.cwd()) / "build"


def staging_dir(notebook: str) -> Path:
    """Where a running notebook writes; the report publishes it to ``results_dir()`` on success."""
    return build_dir() / "staging" / notebook


@dataclass(frozen=True)
class Claim:
    """A sentence, the number behind it, and the bound that the number has to keep.

    ``judged`` is False for a claim about a fully trained network in the quick profile.
    """

    sentence: str
    value: float
    comparison: str
    bound: float
    judged: bool = True

    def __post_init__(self):
        if self.comparison not in _COMPARISONS:
            raise ValueError(f"comparison must be one of {', '.join(_COMPARISONS)}, got {self.comparison!r}")

    @property
    def holds(self) -> bool:
        """Whether the number keeps its bound; a number that is not finite keeps none."""
        return math.isfinite(self.value) and _COMPARISONS[self.comparison](self.value, self.bound)

    @property
    def measured(self) -> str:
        """The number as text; what is left of zero after rounding differs between processors and is not spelt out."""
        return "below 1e-12" if 0 < abs(self.value) < 1e-12 else _short(self.value)

    @property
    def kept(self) -> str:
        """The comparison and the bound as text."""
        return f"{self.comparison} {_short(self.bound)}"


def _short(number: float) -> str:
    """Whole numbers below a million as they are, others with three significant digits."""
    whole = number == round(number, 0) and abs(number) < 1e6
    return f"{number:.0f}" if whole else f"{number:.3g}"


@dataclass
class Findings:
    """What a notebook finds: named values and claims, shown as a table and saved as metrics.

    Args:
        notebook: its name, for example ``"03_small_lstm"``.
        profile: ``"full"`` or ``"quick"``.
        provenance: what the results depend on beside the code: seeds, fingerprints of trained networks.
    """

    notebook: str
    profile: str = "full"
    values: dict = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.profile not in ("full", "quick"):
            raise ValueError(f"profile must be 'full' or 'quick', got {self.profile!r}")

    def value(self, name: str, number) -> None:
        """Keep a number, or a list of numbers, for the metrics and for the prose that quotes it."""
        self.values[name] = number

    def claim(
        self, name: str, sentence: str, value: float, comparison: str, bound: float, trained: bool = False
    ) -> None:
        """State a finding. ``trained``: it speaks of fully trained networks, so only the full profile judges it."""
        judged = self.profile == "full" or not trained
        self.values[name] = float(value)
        self.claims[name] = Claim(sentence, float(value), comparison, float(bound), judged)

    def table(self) -> pd.DataFrame:
        """The claims, a row each."""
        rows = [
            {
                "finding": claim.sentence,
                "measured": claim.measured,
                "bound": claim.kept,
                "holds": ("yes" if claim.holds else "NO") if claim.judged else "not judged",
            }
            for claim in self.claims.values()
        ]
        pd.set_option("display.max_colwidth", None)
        return pd.DataFrame(rows).set_index("finding")

    def figure(self, figure: Figure, name: str, alt: str) -> None:
        """Show a figure, and save it as SVG and PNG, without a date, under the notebook's name.

        Args:
            alt: what it shows, in words, for those who cannot see it; without measured numbers, which would go stale.
        """
        path = self._figures() / f"{name}.png"
        with matplotlib.rc_context({"svg.hashsalt": self.notebook}):  # else every SVG has random ids
            figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path)
        plt.close(figure)
        _show(path, alt, width=round(100 * figure.get_figwidth()))

    def animation(self, animation: Animation, name: str, alt: str) -> None:
        """Show an animation, and save it as GIF under the notebook's name; ``alt`` as in ``figure``."""
        path = self._figures() / f"{name}.gif"
        animation.save(path, writer=PillowWriter(fps=10), dpi=70)
        _show(path, alt)

    def _figures(self) -> Path:
        folder = staging_dir(self.notebook) / "figures" / self.notebook
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self) -> None:
        """Write the metrics.

        Raises:
            ClaimFailed: a judged claim does not hold; the report then publishes nothing of this notebook.
        """
        save_metrics(self.notebook, self.values, self.claims, self.provenance | {"profile": self.profile})
        failed = [claim for claim in self.claims.values() if claim.judged and not claim.holds]
        if failed:
            raise ClaimFailed(
                "; ".join(f"{c.sentence} (measured {c.value:.6g}, bound {c.comparison} {c.bound:g})" for c in failed)
            )


def _show(path: Path, alt: str, **size) -> None:
    """Display a picture with its description and its name, by which the site finds the vector version."""
    display(Image(path.read_bytes(), format=path.suffix[1:], alt=alt, metadata={"figure": path.stem}, **size))


def save_metrics(notebook: str, values: dict, claims: dict[str, Claim], provenance: dict) -> Path:
    """Write ``metrics/<notebook>.json`` into the staging folder: sorted keys, six significant digits."""
    content = {
        "values": _rounded(values),
        "claims": [_rounded({"name": name, "holds": c.holds} | asdict(c)) for name, c in claims.items()],
        "provenance": provenance | {"python": platform.python_version(), "packages": _versions()},
    }
    path = staging_dir(notebook) / "metrics" / f"{notebook}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    return path


def load_metrics(notebook: str) -> dict:
    """The published metrics of a notebook: ``{"values", "claims", "provenance"}``, claims in the notebook's order."""
    return json.loads((results_dir() / "metrics" / f"{notebook}.json").read_text())


def published_metrics() -> list[str]:
    """Names of the notebooks whose metrics are published, in order."""
    return sorted(path.stem for path in (results_dir() / "metrics").glob("*.json"))


def save_grid(notebook: str, table: pd.DataFrame) -> Path:
    """Write the comparison of all methods (see ``evaluate``) as ``metrics/grid.csv`` into the staging folder."""
    path = staging_dir(notebook) / "metrics" / "grid.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    return path


def load_grid() -> pd.DataFrame:
    """The published comparison of all methods, to be looked at or handed to ``evaluate`` as ``known``."""
    for results in (results_dir(), _shipped_results()):
        if (path := results / "metrics" / "grid.csv").exists():
            return pd.read_csv(path)
    raise ValueError(f"no grid is published: expected {path}")


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _VERSIONED}


def _rounded(data):
    if isinstance(data, dict):
        return {str(key): _rounded(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_rounded(value) for value in data]
    if hasattr(data, "tolist"):
        return _rounded(data.tolist())
    return float(f"{data:.6g}") if isinstance(data, float) else data


def trained_network(
    name: str, network: nn.Module, stages: tuple[Stage, ...], config: TrainingConfig, notebook: str, **options
) -> Path:
    """Make ``network`` the trained network of this configuration, and publish it with ``notebook`` as ``name``.

    It is loaded where ``results/models/<name>`` holds this configuration's fingerprint, else
    trained (resuming a run that was killed). ``HARMONICS_RETRAIN=1`` trains it anew even so; a run
    that this had begun before it was killed goes on.

    Args:
        options: passed to ``train``.

    Returns:
        The directory of its ``config.json``, ``history.csv`` and ``weights.safetensors``.
    """
    fingerprint = describe(network, stages, config)["fingerprint"]
    folder = published_run(
        name, fingerprint, notebook, lambda run_dir: train(network, stages, config, run_dir, **options)
    )
    network.load_state_dict(read_weights(folder))
    return folder


def published_run(name: str, fingerprint: str, notebook: str, work: Callable[[Path], object]) -> Path:
    """The directory of a finished run: the published one of that name, if it has the fingerprint, else a new one.

    A new one is what ``work(run_dir)`` leaves behind: ``config.json`` with the fingerprint,
    ``history.csv`` and ``weights.safetensors``. It is published with ``notebook``. What ``work``
    had begun before it was killed, it finds in ``run_dir`` again.
    """
    published = results_dir() / "models" / name
    retrain = os.environ.get("HARMONICS_RETRAIN") == "1"
    if not retrain and (read_config(published) or {}).get("fingerprint") == fingerprint:
        return published
    run_dir = retrain_dir(notebook) if retrain else build_dir() / "runs"
    run_dir /= f"{name}-{fingerprint}"
    work(run_dir)
    staged = staging_dir(notebook) / "models" / name
    _copy_model(run_dir, staged)
    return staged


def train_again(name: str, **options) -> None:
    """Train a published network as its ``config.json`` says, and put the result in its place.

    A run that this had begun before it was killed goes on. Under ``torchrun`` all processes share
    the work, and the first one publishes.

    Args:
        options: passed to ``train``.

    Raises:
        ValueError: no network of that name is published.
    """
    network, stages, config = rebuild(read_config(_model_dir(name)))
    run_dir = retrain_dir("train") / f"{name}-{describe(network, stages, config)['fingerprint']}"
    train(network, stages, config, run_dir, **options)
    if os.environ.get("RANK", "0") == "0":
        _copy_model(run_dir, results_dir() / "models" / name)
        shutil.rmtree(run_dir)


def retrain_dir(purpose: str) -> Path:
    """Where networks are trained anew until they are published: nothing here has been used yet."""
    return build_dir() / "retrain" / purpose


def _copy_model(run_dir: Path, target: Path) -> None:
    """The configuration goes first and comes last: where it stands, the weights are its own."""
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").unlink(missing_ok=True)
    for file in ("weights.safetensors", "history.csv", "config.json"):
        write_atomically(target / file, (run_dir / file).read_bytes())


def network_forecaster(network: nn.Module) -> Forecaster:
    """A trained network as a forecaster, in the dtype and on the device of the lookback it is given.

    The lookback is divided by its peak before the network sees it, and the forecast multiplied
    by it, so that a series in any unit is served. The network itself is left as it is: each dtype
    and device gets a copy, made at its first forecast.
    """

    copies: dict[tuple, nn.Module] = {}

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        check_lookback(lookback, horizon)
        kind = (lookback.device, lookback.dtype)
        if kind not in copies:
            copies[kind] = copy.deepcopy(network).to(*kind).eval()
        peak = lookback.abs().amax(dim=1, keepdim=True)
        scale = torch.where(peak > 0, peak, 1.0)
        with torch.no_grad():
            return copies[kind].forecast(lookback / scale, horizon) * scale

    return forecast


def load_forecaster(name: str) -> Forecaster:
    """A published network, ``(lookback (B, N), horizon) -> (B, horizon)``.

    Raises:
        ValueError: no network of that name is published.
    """
    folder = _model_dir(name)
    network = build(read_config(folder)["network"])
    network.load_state_dict(read_weights(folder))
    return network_forecaster(network)


def _model_dir(name: str) -> Path:
    """Where a published network lies: among these results, else among those that came with the code."""
    for results in (results_dir(), _shipped_results()):
        if (results / "models" / name / "config.json").exists():
            return results / "models" / name
    known = sorted((path.name for path in (results_dir() / "models").glob("*")), key=lambda name: (len(name), name))
    shown = ", ".join(known[:5]) + (", …" if len(known) > 5 else "")
    raise ValueError(f"name must be a published network ({shown or 'there are none'}), got {name!r}")
