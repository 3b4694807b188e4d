"""Studies as TOML files: read, checked key by key, and turned into what `tune` takes; and written, as TOML and as Python.

name = "svc"
estimator = "sklearn.svm:SVC"    # or function = "train:train", or command = "python train.py --C {C}"
data = "digits"                  # a bundled data set, or a CSV, Parquet, .npy or .npz file
maximize = "accuracy"

[space.C]
float = [1e-3, 1e3]
log = true

[budget]
trials = 60
"""

from luthier.studyfile.kept import keep, kept, kept_path
from luthier.studyfile.script import to_python
from luthier.studyfile.spaces import space_given
from luthier.studyfile.study import StudyFile, from_given, load, read
from luthier.studyfile.tables import plain
from luthier.studyfile.validation import Validation
from luthier.studyfile.writing import absolute, to_toml

__all__ = [
    "StudyFile",
    "Validation",
    "absolute",
    "from_given",
    "keep",
    "kept",
    "kept_path",
    "load",
    "plain",
    "read",
    "space_given",
    "to_python",
    "to_toml",
]
