"""Rules outside their family: suites of tasks, kept results, and two tables that never mix."""

from .entrants import Scaled as Scaled
from .run import run_benchmark as run_benchmark
from .settings import BenchmarkSettings as BenchmarkSettings
from .suites import SUITES as SUITES, Suite as Suite, suite_of as suite_of
