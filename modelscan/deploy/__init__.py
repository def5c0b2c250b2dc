"""THE LIFECYCLE: deploy, start, stop, remove, list, verify: joins planner, engines and routing."""
