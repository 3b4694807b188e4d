"""Studies that the studio starts."""

from __future__ import annotations

WORDS = {
    "works.exists": "There is a study called {name!r} already. Give this one another name.",
    "works.name": "{name!r} cannot be the name of a study. Begin with a letter or a digit, use no slash, and at most "
    "{most} letters, fewer where they are not of the Latin alphabet.",
    "works.code": "A study that has {what!r} runs code that you wrote, which the studio does not start. Use `luthier run` with the study file.",
    "works.busy": "A process works on study {name!r} already.",
    "works.disk": "Study {name!r} cannot be started: {error}. Look whether the disk is full, and whose the folder beside the store is.",
    "works.cannot": "Study {name!r} cannot be gone on with from here: it is complete, somebody works on it, or it was not started from a "
    "study file. Run the same command or script again.",
    "works.ended": "Its process ended: {why}",
    "works.broke": "{error}",
    "works.died": "Its process ended before the study began, without a word: it was killed, or the machine was started anew.",
    "works.resume": "Resume",
    "works.resume.how": "Go on with this study in a process of its own.",
    "works.begins": "Its process is about to begin.",
    "works.starting": "Starting {name}",
    "works.starting.state": "starting",
    "works.starting.how": "Its process reads the data and prepares the first trial. This takes a few seconds; you may close the page.",
    "works.failed": "{name} could not be started",
    "works.failed.log": "What its process printed",
    "works.failed.back": "Set it up again",
    "works.gone": "No study of this name was started here.",
    "estimate.estimators": "Only studies of estimators can be measured before they run.",
    "estimate.long": "One fit at the defaults takes more than {seconds} s, so it was given up. The study will take long: use fewer rows, "
    "a smaller model, or a limit of time.",
    "estimate.died": "The fit ended without a word, as if it was killed; it may have needed more memory than there is.",
    "works.left": "{low} to {high} left",
    "said.resumed": "A process was started that goes on with it.",
    "said.resumed.not": "It cannot be gone on with from here. Run the same command or script again.",
    "said.retried.resumed": "They are tried again: a process was started that goes on with the study.",
    "said.added.resumed": "The budget is larger now, and a process was started that goes on with the study.",
}
SCRIPT = ()
