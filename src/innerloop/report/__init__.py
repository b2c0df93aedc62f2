"""report.html beside results.json: one page, one file, nothing loaded from elsewhere."""

from .about import About as About
from .comparison import comparison_page as comparison_page
from .curves import curves_of as curves_of
from .fewshot import fewshot_page as fewshot_page
from .page import write_page as write_page
from .reproduction import reproduction_page as reproduction_page
from .saved import page_of as page_of
from .search import search_page as search_page
from .training import training_page as training_page
