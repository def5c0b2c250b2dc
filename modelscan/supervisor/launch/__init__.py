"""From a plan to the exact command that starts an engine on this machine."""
