"""Settings of the documentation site (`make docs`), which loads nothing from the network."""

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import xbayes
from xbayes.compare.run import compare
from xbayes.simulate.catalog import simulate
from xbayes.tasks.enhance import enhance
from xbayes.tasks.ready_made import models

HERE = Path(__file__).parent

project, author = "xbayes", "The xbayes developers"
copyright = author
version = release = xbayes.__version__
extensions = ["myst_nb", "sphinx_design", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Notebooks run when they have changed since the last build; XBAYES_NOTEBOOKS=off: never.
nb_execution_mode = os.environ.get("XBAYES_NOTEBOOKS", "cache")
# Notebooks that do not run, as patterns; the test of the site runs only a few.
nb_execution_excludepatterns = os.environ.get("XBAYES_NOTEBOOKS_SKIP", "").split()
nb_execution_timeout = 1800  # seconds a cell
nb_execution_raise_on_error = True
nb_output_stderr = "remove"
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
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


_before_napoleon: dict[str, list[str]] = {}


def _literal_backticks(app, what, name, obj, options, lines):
    """`x` is code in the docstrings of this package, as in Markdown; reST wants ``x``."""
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line) for line in lines]
    _before_napoleon[name] = list(lines)


def _no_references(app, what, name, obj, options, lines):
    """The fitted attributes of scikit-learn, such as means_, look like references in reST."""
    if what == "property":  # Napoleon reads the words before a colon as a type
        lines[:] = _before_napoleon[name]
    lines[:] = [re.sub(r"(\w)_(?![\w`])", r"\1\\_", line) for line in lines]


def _skip_metadata_methods(app, what, name, obj, skip, options):
    """Methods that scikit-learn adds to every estimator, for its metadata routing."""
    return True if re.fullmatch("set_.*_request", name) else None


def setup(app):
    """Draw formulas as MathML, clean docstrings, and write the pages made from the code."""
    sys.path.insert(0, str(HERE))
    import generated

    # Napoleon reads docstrings at priority 500.
    app.connect("autodoc-process-docstring", _literal_backticks, priority=400)
    app.connect("autodoc-process-docstring", _no_references, priority=600)
    app.connect("autodoc-skip-member", _skip_metadata_methods)
    # These names are packages that can be called; autodoc documents functions only.
    xbayes.compare, xbayes.simulate = compare, simulate
    xbayes.enhance, xbayes.models = enhance, models
    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
    generated.write_all(HERE / "_generated", HERE.parent / "notebooks")
