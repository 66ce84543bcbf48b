"""Sphinx extension: formulas are set by KaTeX while the pages are made, so that they need no script to be read.

KaTeX (katex.min.js here, style and fonts in static/katex: npm's katex 0.19.1, unchanged) runs in V8, which pip
installs as mini-racer.
"""

import json
from functools import cache
from pathlib import Path

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number

KATEX = Path(__file__).resolve().parent / "katex.min.js"
SHORT = 25  # characters of a formula that need not break


@cache
def _engine() -> MiniRacer:
    engine = MiniRacer()
    engine.eval(KATEX.read_text(encoding="utf-8"))
    return engine


@cache
def html(formula: str, display: bool) -> str:
    r"""A formula in TeX as HTML, with MathML for those who listen.

    Raises:
        ExtensionError: KaTeX does not know what is asked, or it is no mathematics.
    """
    options = {"displayMode": display, "strict": "error", "throwOnError": True}
    try:
        return _engine().eval(f"katex.renderToString({json.dumps(formula)}, {json.dumps(options)})")
    except JSEvalException as error:
        reason = next(line for line in str(error).splitlines() if "Error" in line)
        raise ExtensionError(f"the formula {formula!r} cannot be set: {reason}") from error


def _keep_together(app, doctree: nodes.document, page: str) -> None:
    """With a short formula, the comma or full stop after it stays in its line."""
    for formula in list(doctree.findall(nodes.math)):
        after = formula.next_node(descend=False, siblings=True)
        if isinstance(after, nodes.Text) and after.startswith((",", ".", ";", ":", ")")) and len(formula[0]) <= SHORT:
            together = nodes.inline("", "", formula.deepcopy(), nodes.Text(after[0]), classes=["together"])
            formula.parent.replace(after, nodes.Text(after[1:]))
            formula.replace_self(together)


def _inline(translator, node: nodes.math) -> None:
    translator.body.append(f'<span class="math">{html(node.astext(), False)}</span>')
    raise nodes.SkipNode


def _block(translator, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(f"{html(node.astext(), True)}</div>\n")
    raise nodes.SkipNode


def setup(app) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_html_math_renderer("katex", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.add_css_file("katex/katex.min.css")
    app.connect("doctree-resolved", _keep_together)
    return {"parallel_read_safe": True}
