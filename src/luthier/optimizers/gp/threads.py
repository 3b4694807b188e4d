"""Linear algebra on one thread: matrices of a few hundred rows are not worth the waiting of threads for each other."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """A context in which BLAS keeps to one thread, where threadpoolctl (a part of scikit-learn's company) is there to say
    so. Results then do not depend on the number of cores either.
    """
    controller = _controller()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401 - only libraries that are loaded are found

    try:
        return import_module("threadpoolctl").ThreadpoolController()
    except ImportError:
        return None
