"""Figures whose text is text: it can be searched and copied, and takes less room.

matplotlib's SVGs draw each letter as a shape, named after its font and its place in that font:
"DejaVuSans-15" is a 2 (before matplotlib 3.11 after its code point: "DejaVuSans-32"). That is
enough to write it as a letter, where it stood.
"""

import re
import xml.etree.ElementTree as ET
from functools import cache
from itertools import groupby
from pathlib import Path

from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_SHAPE = re.compile(r"#?(DejaVuSans(?:-Oblique|-Bold)?)-([0-9a-f]+)")
_VERSION = re.compile(r"Matplotlib v(\d+)\.(\d+)")
_PLACE = re.compile(r"translate\((\S+) (\S+)\)(?: scale\((\S+)\))?")
_STYLE = "font-family: 'DejaVu Sans', Verdana, sans-serif; font-variant-ligatures: none; white-space: pre"
_SIZE = 100  # of a letter that is not scaled, in the units of its group


def with_letters(svg: str) -> str:
    """An SVG by matplotlib, with letters in place of their shapes."""
    ET.register_namespace("", _SVG[1:-1])
    ET.register_namespace("xlink", _LINK[1:].partition("}")[0])
    figure, by_place = ET.fromstring(svg), tuple(map(int, _VERSION.search(svg).groups())) >= (3, 11)
    for group in list(figure.iter(f"{_SVG}g")):
        shapes = [use for use in group.findall(f"{_SVG}use") if _SHAPE.match(use.get(_LINK))]
        if shapes:
            _write(group, [_letter(use, by_place) for use in shapes])
            for drawn in [*shapes, *group.findall(f"{_SVG}defs")]:
                group.remove(drawn)
    return ET.tostring(figure, encoding="unicode")


def _write(group: ET.Element, letters: list[tuple[str, float, float, str, str]]) -> None:
    """One text with a run for each font, size and line; the group's upside-down scale is undone for it."""
    text = ET.SubElement(group, f"{_SVG}text", {"transform": "scale(1 -1)", "style": _STYLE})
    for (font, y, size), same in groupby(letters, key=lambda letter: letter[:3]):
        _, _, _, x, characters = zip(*same, strict=True)
        run = ET.SubElement(text, f"{_SVG}tspan", {"x": " ".join(x), "y": f"{-y:g}", "font-size": f"{size:g}"})
        run.set("font-style", "oblique" if "Oblique" in font else "normal")
        run.set("font-weight", "bold" if "Bold" in font else "normal")
        run.text = "".join(characters)


def _letter(use: ET.Element, by_place: bool) -> tuple[str, float, float, str, str]:
    """Font, height above the line, size, place along the line, and which letter."""
    font, glyph = _SHAPE.match(use.get(_LINK)).groups()
    x, y, scale = (_PLACE.match(use.get("transform", "")) or re.match("()()()", "")).groups()
    character = _characters(font)[int(glyph, 16)] if by_place else chr(int(glyph, 16))
    return font, float(y or 0), _SIZE * float(scale or 1), x or "0", character


@cache
def _characters(font: str) -> dict[int, str]:
    """Place in the font -> the first character that has its shape."""
    drawn = FT2Font(str(Path(get_data_path()) / "fonts" / "ttf" / f"{font}.ttf")).get_charmap()
    return {glyph: chr(point) for point, glyph in sorted(drawn.items(), reverse=True)}
