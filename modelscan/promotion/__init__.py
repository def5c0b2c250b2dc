"""From a fine-tune to a served route: tried, evaluated, given a share, switched, rolled back."""
