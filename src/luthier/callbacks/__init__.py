"""Training loops of libraries that report to a trial: each library's in a module of its own, all by the same name.

    from luthier.callbacks.xgboost import Report

    xgb.train(params, rows, evals=[(held_out, "val")], callbacks=[Report(trial)])

`Report(trial)` reports what the library measures after every iteration or epoch, counted from 1, and lets `Stop` through where the trial
is told to end. `every=10` hands a checkpoint over after every tenth and after the last, where the library can go on from one.
`names={"val_loss": "loss"}` says what metrics are called in the study.
"""
