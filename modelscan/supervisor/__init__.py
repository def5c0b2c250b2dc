"""Processes of engines: launch, readiness, restarts, logs, reboot."""
