"""Sphinx configuration."""

import sys
from pathlib import Path

from preflamp_stats import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "preflamp-stats"
author = "The preflamp-stats developers"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "executed",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_executed", "_ext"]
suppress_warnings = ["myst.header"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings name types and dims
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "preflamp-stats"
# The whole contents at the left of every page: there are few pages, and no sections of them.
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_center": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"**": ["globaltoc"]}
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
