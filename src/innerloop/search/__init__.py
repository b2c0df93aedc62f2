"""One command finds the best optimizer for a family of problems, learned or not."""

from ._base import Candidate as Candidate
from .look import Look as Look, look as look
from .search import SearchResult as SearchResult, search as search
from .settings import SearchSettings as SearchSettings
