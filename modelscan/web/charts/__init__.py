"""Pictures as SVG text: values in, markup out. Pure.

No style attributes (the pages' policy forbids them): positions are SVG attributes, colours are
classes of ``static/app.css``.
"""
