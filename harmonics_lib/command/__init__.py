"""The command line: ``python -m harmonics_lib`` or ``harmonics``."""
