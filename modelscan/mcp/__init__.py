"""Tools and resources for assistants, by the Model Context Protocol.

A tool is a command of modelscan, run in a process of its own with ``--json``: what it returns is
the document that the command prints, an assistant's cancellation ends it like Ctrl-C, and nothing
that a command prints or computes disturbs the protocol or a gateway.
"""
