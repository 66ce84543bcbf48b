"""Sphinx reads this: the site is made from the sources that build.py writes."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

from harmonics_lib.paths import results_dir
from harmonics_lib.report.prose import pages_url

sys.path.insert(0, str(Path(__file__).resolve().parent))  # our own extensions

project = "Forecasting sums of sinusoids"
html_title = project
author = "The harmonics-lib maintainers"
copyright = f"2026, {author}"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "notfound.extension", "discovery", "formulas"]
autodoc_typehints = "none"  # docstrings say what is meant; the code has the types
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_custom_sections = ["Source", "Sources"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"
nb_render_markdown_format = "myst"
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

html_math_renderer = "katex"

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["report.css"]
html_js_files = ["report.js"]
html_baseurl = pages_url()  # canonical addresses
html_extra_path = [str(results_dir() / "figures" / "00_overview" / "methods.png")]  # the preview of a link
notfound_urls_prefix = urlsplit(pages_url()).path
html_favicon = "static/favicon.svg"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"light_css_variables": {"code-font-size": "0.8rem"}}  # 88 characters fit, folded or not
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
