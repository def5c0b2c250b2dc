"""How good are the answers: task suites, reports with receipts, comparisons, loss by quantization."""
