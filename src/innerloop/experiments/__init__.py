"""Named experiments: one file each, and what runs them."""
