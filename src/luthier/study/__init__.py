"""What was asked, what happened, what is known."""

from luthier.study.history import History
from luthier.study.schedule import Schedule, Stretch, schedule_of
from luthier.study.spec import (
    Budget,
    Constraint,
    Fidelity,
    Goal,
    Named,
    Objective,
    Problem,
    StudySpec,
    is_number,
)
from luthier.study.trial import (
    Completed,
    Failed,
    Lost,
    Metrics,
    Outcome,
    Proposal,
    Record,
    Report,
    State,
    Stopped,
    Trial,
)

__all__ = [
    "Budget",
    "Completed",
    "Constraint",
    "Failed",
    "Fidelity",
    "Goal",
    "History",
    "Lost",
    "Metrics",
    "Named",
    "Objective",
    "Outcome",
    "Problem",
    "Proposal",
    "Record",
    "Report",
    "Schedule",
    "State",
    "Stopped",
    "Stretch",
    "StudySpec",
    "Trial",
    "schedule_of",
    "is_number",
]
