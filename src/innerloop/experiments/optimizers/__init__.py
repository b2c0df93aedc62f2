"""One experiment with a learned optimizer a file."""
