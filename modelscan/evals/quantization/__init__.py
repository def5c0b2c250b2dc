"""What a weight format costs a model, measured on this machine: next tokens of two formats."""
