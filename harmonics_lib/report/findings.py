"""The findings of a notebook: named values, checked claims and figures, saved with their provenance."""

import importlib.metadata
import json
import math
import operator
import platform
import re
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from harmonics_lib.paths import results_dir, staging_dir

ROUNDING = 1e-12  # smaller values are rounding errors, which differ between processors
UNSEEN = 0.05  # points: invisible differences of coordinates, a ninth of a pixel of the PNG
_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}
_VERSIONED = ("torch", "numpy", "scipy", "matplotlib", "harmonics-lib")


class ClaimFailed(AssertionError):
    """A claim of the report does not hold."""


@dataclass(frozen=True)
class Claim:
    """A sentence, its number, and the bound that the number must satisfy.

    ``judged`` is False in the quick profile for a claim that needs full trainings or sizes.
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
        """Whether the number is finite and satisfies the bound."""
        return math.isfinite(self.value) and _COMPARISONS[self.comparison](self.value, self.bound)

    @property
    def measurement(self) -> str:
        """The number as text; values below 1e-12 are rounding errors, which differ between processors."""
        return "below 1e-12" if abs(self.value) < ROUNDING and 0 < self.bound < 1 else _short(self.value)

    @property
    def condition(self) -> str:
        """The comparison and the bound as text."""
        return f"{self.comparison} {_short(self.bound)}"


def _short(number: float) -> str:
    """A number as text: whole numbers below a million in full, others with three significant digits."""
    whole = number == round(number, 0) and abs(number) < 1e6
    return f"{number:.0f}" if whole else f"{number:.3g}"


@dataclass
class Findings:
    """The findings of a notebook: named values and claims, displayed as a table and saved as metrics.

    Args:
        notebook: its name, for example ``"03_small_lstm"``.
        profile: ``"full"`` or ``"quick"``.
        provenance: inputs of the results beside the code, such as seeds and fingerprints of trained networks.
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
        """Record a number, or a list of numbers, for the metrics and the prose."""
        self.values[name] = number

    def claim(
        self, name: str, sentence: str, value: float, comparison: str, bound: float, full_only: bool = False
    ) -> None:
        """Record a claim. ``full_only``: only the full profile checks it, since it needs full trainings or sizes."""
        judged = self.profile == "full" or not full_only
        self.values[name] = float(value)
        self.claims[name] = Claim(sentence, float(value), comparison, float(bound), judged)

    def table(self) -> pd.DataFrame:
        """The claims, a row each."""
        rows = [
            {
                "finding": claim.sentence,
                "measured": claim.measurement,
                "bound": claim.condition,
                "holds": ("yes" if claim.holds else "NO") if claim.judged else "not judged",
            }
            for claim in self.claims.values()
        ]
        pd.set_option("display.max_colwidth", None)
        return pd.DataFrame(rows).set_index("finding")

    def figure(self, figure: Figure, name: str, alt: str) -> None:
        """Display a figure, and save it as SVG and PNG, without a date, under the notebook's name.

        Args:
            figure: it is closed afterwards.
            name: of the files.
            alt: a description for readers who cannot see the figure, without measured numbers, which would go stale.
        """
        path = self._figures() / f"{name}.png"
        figure.savefig(path)
        vector = path.with_suffix(".svg")
        with matplotlib.rc_context({"svg.hashsalt": self.notebook}):  # else every SVG has random ids
            figure.savefig(vector, metadata={"Date": None})
        vector.write_text(_round_coordinates(vector.read_text(encoding="utf-8")), encoding="utf-8")
        plt.close(figure)
        _keep_published(vector)
        _show(path, alt, width=round(100 * figure.get_figwidth()))

    def animation(self, figure: Figure, draw: Callable, frames: Iterable, name: str, alt: str) -> None:
        """Display an animated figure, and save it as GIF under the notebook's name.

        Args:
            figure: it is closed afterwards.
            draw: ``draw(frame)`` updates the figure.
            frames: the arguments of ``draw``, in order.
            name: of the file.
            alt: as in ``figure``.
        """
        pictures = []
        for frame in frames:
            draw(frame)
            figure.savefig(buffer := BytesIO(), format="png", dpi=70)
            pictures.append(Image.open(buffer).quantize(32, dither=Image.Dither.NONE))
        plt.close(figure)
        path = self._figures() / f"{name}.gif"
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=500, loop=0)
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


def _keep_published(vector: Path) -> None:
    """Replace the new SVG and PNG by the published ones if the difference is invisible.

    Rounding differs between processors: on another one a curve near the rounding floor moved by 0.01 points.
    """
    published = results_dir() / vector.relative_to(vector.parents[2])
    if published.is_file() and _look_alike(published.read_text(encoding="utf-8"), vector.read_text(encoding="utf-8")):
        for suffix in (".svg", ".png"):
            if (source := published.with_suffix(suffix)).is_file():
                shutil.copyfile(source, vector.with_suffix(suffix))


def _look_alike(first: str, second: str) -> bool:
    """Whether two SVGs are equal up to coordinates that differ by at most ``UNSEEN`` points."""
    number = r"-?\d+(?:\.\d+)?"
    pairs = zip(re.findall(number, first), re.findall(number, second), strict=False)
    return re.sub(number, "", first) == re.sub(number, "", second) and all(
        abs(float(a) - float(b)) <= UNSEEN + 1e-9 for a, b in pairs
    )


def _round_coordinates(svg: str) -> str:
    """Round the coordinates of an SVG to two decimals, and number its ids, which hash more decimals.

    A hundredth of a point is invisible, and further digits differ between processors.
    """

    def coarse(attribute: re.Match) -> str:
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", attribute[0])

    svg = re.sub(r'(?<= )(?:d|x|y|width|height|points)="[^"]*"|translate\([^)]*\)', coarse, svg)
    names = dict.fromkeys(re.findall(r'id="((?:[a-z]|C\w+_)[0-9a-f]{10})"', svg))
    numbered = {name: f"n{number}" for number, name in enumerate(names)}
    return re.sub(r"\b(?:[a-z]|C\w+_)[0-9a-f]{10}\b", lambda name: numbered.get(name[0], name[0]), svg)


def _show(path: Path, alt: str, **size) -> None:
    """Display a picture with its description and its name; the site uses the name to find the SVG."""
    kind, about = f"image/{path.suffix[1:]}", {"alt": alt, "figure": path.stem} | size
    data = {kind: b64encode(path.read_bytes()).decode(), "text/plain": alt}
    display(data, metadata={kind: about}, raw=True)  # an Image has no alt text in Colab's IPython


def save_metrics(notebook: str, values: dict, claims: dict[str, Claim], provenance: dict) -> Path:
    """Write ``metrics/<notebook>.json`` into the staging folder: sorted keys, six digits, rounding errors as 0."""
    content = {
        "values": _round(values),
        "claims": [_round({"name": name, "holds": c.holds} | asdict(c)) for name, c in claims.items()],
        "provenance": provenance | {"python": platform.python_version(), "packages": _versions()},
    }
    path = staging_dir(notebook) / "metrics" / f"{notebook}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def _versions() -> dict[str, str]:
    """Versions without the build that they were installed as: PyTorch's 2.13.0+cpu is 2.13.0."""
    return {name: importlib.metadata.version(name).partition("+")[0] for name in _VERSIONED}


def _round(data):
    if isinstance(data, dict):
        return {str(key): _round(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_round(value) for value in data]
    if hasattr(data, "tolist"):
        return _round(data.tolist())
    if isinstance(data, float):
        return float(f"{data:.6g}") if abs(data) >= ROUNDING or math.isnan(data) else 0.0
    return data
