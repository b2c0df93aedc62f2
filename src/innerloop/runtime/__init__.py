"""What every run needs and nothing of learning: files, folders, checkpoints, devices, hosts."""
