"""``modelscan route``: where requests go."""
