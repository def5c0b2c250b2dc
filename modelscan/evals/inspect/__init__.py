"""The suites as Inspect AI tasks, and the process that runs them: only here is inspect_ai imported."""
