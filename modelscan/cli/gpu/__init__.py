"""``modelscan gpu``: which hardware is here."""
