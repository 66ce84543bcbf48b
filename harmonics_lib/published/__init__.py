"""Published results: networks, tables and runs."""
