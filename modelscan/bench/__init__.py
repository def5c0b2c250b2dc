"""How fast and how right a route answers: measurements, workloads, load, results for scoring."""
