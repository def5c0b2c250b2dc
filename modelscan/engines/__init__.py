"""HOW IT RUNS: command lines, launchers and supervision of engines; gpustack/ is the cluster."""
