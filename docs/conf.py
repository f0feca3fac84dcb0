"""How Sphinx builds the documentation: ``make docs``."""
from acon_mm import __version__

project = 'acon_mm'
author = 'acon_mm contributors'
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon',
              'sphinx.ext.mathjax']
exclude_patterns = ['_build']
myst_enable_extensions = ['dollarmath', 'colon_fence']
myst_heading_anchors = 3

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # the docstrings have shapes and ranges
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = 'furo'
html_title = f'acon_mm {release}'


def escape_shapes(app, what, name, obj, options, lines):
    """Shapes such as (N, C, *) begin no emphasis."""
    lines[:] = [line.replace(', *', r', \*') for line in lines]


def setup(app):
    app.connect('autodoc-process-docstring', escape_shapes)
