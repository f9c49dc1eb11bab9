"""Sphinx's settings for `make site` (lib.site, which lays out the pages): no page asks for anything from elsewhere."""

import hashlib
from importlib import metadata

project = "Does RL teach a language model, or only sharpen it?"
author = "The beyond-sharpening-kit developers"
extensions = ["myst_nb"]
suppress_warnings = ["myst.header"]  # a page whose headings skip a level, as docs/claims.md does

# MathJax as one file that brings its glyphs along, taken from a package; what it must be is known.
MATHJAX = "d4295dc33744836935c1399feece5159577b34c5c8ffb9f1c6324cd82e03a882"  # sha256 of es5/tex-svg.js of npm's mathjax 3.2.2
_found = [path for path in metadata.files("sphinx-mathjax-offline") or [] if path.name == "tex-svg.js"]
_mathjax = _found[0].locate()
if hashlib.sha256(_mathjax.read_bytes()).hexdigest() != MATHJAX:
    raise SystemExit(f"{_mathjax} is not the MathJax that this kit knows: install requirements-site.txt again.")
mathjax_path = "tex-svg.js"
mathjax3_config = {"svg": {"fontCache": "global"}, "options": {"enableMenu": False}}

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # lib.site hands over notebooks that were executed
nb_output_stderr = "remove"  # progress bars
nb_merge_streams = True
nb_render_markdown_format = "myst"  # tables and formulas in outputs, as in cells
nb_ipywidgets_js = {}  # nothing on a page asks for a kernel

html_theme = "furo"
html_title = "RL: taught, or sharpened?"
html_static_path = ["site.css", str(_mathjax)]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_search_summary = False  # it would fetch pages, which a browser refuses to do for files
