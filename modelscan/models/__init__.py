"""MODEL text to a resolved model, and the decision how to run it on a machine."""
