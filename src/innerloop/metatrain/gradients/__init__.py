"""Meta-gradient estimators: one file each."""

from ._base import MetaGradient as MetaGradient
from .truncated import TruncatedBackprop as TruncatedBackprop
