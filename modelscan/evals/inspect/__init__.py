"""The suites as Inspect AI tasks and the process that runs them; nothing else imports it."""
