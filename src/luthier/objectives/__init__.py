"""What is run: every kind of objective becomes a Task, which takes a Context and returns metrics."""

from luthier.objectives.context import Context, Task
from luthier.objectives.function import as_task, import_objective, metrics_of

__all__ = ["Context", "Task", "as_task", "import_objective", "metrics_of"]
