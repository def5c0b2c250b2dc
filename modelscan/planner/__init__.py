"""Choose how to run a model: quantization x engine x GPUs x context. Pure; returns a Plan or a
Refusal with reasons.
"""
