"""Tools and resources for assistants, by the Model Context Protocol.

A tool is a command of modelscan with ``--json``: what it returns is the document that the command
prints. Commands that only read run in a thread and print into memory. Those that change something
have a process of their own, so that an assistant's cancellation ends them like Ctrl-C.
"""
