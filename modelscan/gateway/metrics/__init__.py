"""The figures of a gateway: defined once, for Prometheus, OTLP, dashboards and documentation."""
