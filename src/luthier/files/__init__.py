"""The files of trials: checkpoints to go on from, artifacts to keep, and what of them is thrown away.

NUMBER/ATTEMPT/                             the work directory of an attempt
NUMBER/checkpoints/attempt1-00003-step12/   a checkpoint: one file or folder, under the name it had
NUMBER/artifacts/NAME                       an artifact
"""

from luthier.files.attempt import AttemptFiles, Checkpoint, Place
from luthier.files.names import folder_of
from luthier.files.opening import is_within, opened
from luthier.files.settings import Files
from luthier.files.study import StudyFiles, TrialFiles, meter, size

__all__ = [
    "AttemptFiles",
    "Checkpoint",
    "Files",
    "Place",
    "StudyFiles",
    "TrialFiles",
    "folder_of",
    "is_within",
    "meter",
    "opened",
    "size",
]
