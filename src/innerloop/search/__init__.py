"""One command finds the best optimizer for a family of problems, learned or not."""

from ._base import Candidate as Candidate
from .look import Look as Look, look as look
from .search import SearchResult as SearchResult, find_optimizer as find_optimizer
from .settings import SearchSettings as SearchSettings
