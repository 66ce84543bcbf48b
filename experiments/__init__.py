"""What makes the tables that the notebooks only read, and the benchmarks."""
