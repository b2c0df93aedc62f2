"""The candidates of the search: a file for those of a kind."""
