"""Pictures: arrays in, a file out."""
