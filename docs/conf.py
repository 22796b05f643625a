"""The documentation site: make docs. Everything it shows is in the repository or in Sphinx."""

import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import xbayes

HERE = Path(__file__).parent

project, author = "xbayes", "The xbayes developers"
copyright = author
version = release = xbayes.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "signature"
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated/parts"]
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False}
smartquotes = False  # --catalog is an option, not a dash
html_theme = "furo"
html_title = "xbayes"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
pygments_style = "friendly"


def _inline_math(translator, node):
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block_math(translator, node):
    formula = tex2mathml(node.astext(), as_block=True)
    translator.body.append(f'<div class="math">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Formulas as MathML, which browsers draw themselves; pages made from the code."""
    sys.path.insert(0, str(HERE))
    import generated

    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
    generated.write_all(HERE / "_generated", HERE.parent / "notebooks")
