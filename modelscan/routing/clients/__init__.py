"""The configuration of programs that use the gateway: one module per program, all pure."""
