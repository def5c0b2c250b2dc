"""MODEL text to a resolved model, and the decision what would run here."""
