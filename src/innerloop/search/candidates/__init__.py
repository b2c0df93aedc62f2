"""The candidates of the search: one file each."""
