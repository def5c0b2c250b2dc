"""How good answers are: suites of tasks, reports, comparisons, loss by quantization."""
