"""`python -m innerloop` is the command `innerloop`."""

from .cli import entry

if __name__ == "__main__":
    entry()
