"""Where it runs: executors, which take jobs and give back events."""

from luthier.executors.base import Ended, Event, Executor, Job, Pool, Reported
from luthier.executors.inline import Inline
from luthier.executors.processes import Processes

__all__ = ["Ended", "Event", "Executor", "Inline", "Job", "Pool", "Processes", "Reported"]
