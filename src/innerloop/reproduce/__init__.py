"""The figures of the papers, each by one command."""

from .figures import (
    FIGURES as FIGURES,
    Figure as Figure,
    Panel as Panel,
    find_figure as find_figure,
)
from .run import reproduce as reproduce
