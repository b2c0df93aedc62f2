"""What the commands share that use a meta-learner."""

import dataclasses
from typing import Annotated, Any

import tyro

Learner = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="LEARNER")]
Data = Annotated[
    str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="(default: what it learned on)")
]
File = Annotated[
    str | None, tyro.conf.arg(metavar="FILE.py:NAME", help_behavior_hint="(default: none)")
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named:
    """A saved meta-learner, and the files of one's own that it needs."""

    learner: Learner
    """A shipped learner's name (`innerloop fewshot list`), a file, or a run's folder."""
    method: File = None
    """The class of the learner's method, where it is your own."""
    backbone: File = None
    """The class of the learner's backbone, where it is your own."""

    def load(self) -> tuple[Any, Any]:
        """(the learner, what it learned on)."""
        from ..experiments.find import name_for
        from ..fewshot.files import load_with_data

        for kind, spec in (("method", self.method), ("backbone", self.backbone)):
            if spec is not None:
                name_for(kind, spec)
        return load_with_data(self.learner)
