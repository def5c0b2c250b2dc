"""``python -m modelscan.engines.llamacpp.launcher``: the embedded server, as start scripts name it.

The server is in the room of the supervisor; this name stays for the scripts that people wrote.
"""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("modelscan.supervisor.embedded.launcher", run_name="__main__", alter_sys=True)
