"""Deadlines of tests with real servers.

A deadline here ends a hang; it is no measure of speed. On a machine with twenty runnable processes
everything takes ten times as long, so none of them is near what an idle machine needs.
"""

from __future__ import annotations

START_S = 1800.0  # installed, started and ready, or stopped
COMMAND_S = 1800.0  # one command, also one that waits for an engine
ENGINE_S = 1200  # what a command itself waits for an engine (``--timeout``)
CHANGE_S = 900.0  # until a server shows what it was told
REQUEST_S = 120.0  # one request to a server
