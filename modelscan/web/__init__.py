"""The pages of ``modelscan serve``: HTML and SVG made on the server, useful without a script."""
