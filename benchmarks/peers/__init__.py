"""The same work in PyTorch, written as one would write it there: benchmarks only."""
