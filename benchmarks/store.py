"""Finished trials per second: 3 parameters, a no-op objective, one process, a SQLite file.

Luthier beside Optuna's RDBStorage as shipped, and set to WAL and synchronous=normal, in one run. Must hold: 30 times
the first, 10 times the second, and over trials 9,000 to 10,000 at least 0.7 of the rate over the first 1,000.

    python benchmarks/store.py [--trials 10000] [--optuna 300]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import luthier as lt

SPACE = lt.Space(x=lt.Float(0, 1), n=lt.Int(1, 100, log=True), kind=lt.Choice("a", "b", "c"))


def luthier_times(folder: Path, trials: int) -> list[float]:
    """When each trial ended."""
    study = lt.tune(
        lambda trial: 0.0,
        SPACE,
        minimize="loss",
        trials=trials,
        algorithm="random",
        name="bench",
        store=str(folder / "luthier.db"),
        progress=False,
    )
    return sorted(trial.ended for trial in study.trials)


def optuna_times(url: str, trials: int, *, wal: bool) -> list[float]:
    import optuna
    from sqlalchemy import event

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(url)
    if wal:

        def fast(connection: object, _: object) -> None:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
                connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

        event.listen(storage.engine, "connect", fast)
        storage.engine.dispose()
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0, 1)
        trial.suggest_int("n", 1, 100, log=True)
        trial.suggest_categorical("kind", ["a", "b", "c"])
        return 0.0

    times = []
    study.optimize(objective, n_trials=trials, callbacks=[lambda *_: times.append(time.time())])
    return times


def rate(times: list[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3, help="how often; medians are reported")
    parser.add_argument("--optuna", type=int, default=300, help="trials of each of Optuna's settings")
    given = parser.parse_args()
    firsts, lasts, shipped_rates, wal_rates = [], [], [], []
    for _ in range(given.runs):  # in turn, so that the machine's moods fall on all of them
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ours = luthier_times(folder, given.trials)
            firsts.append(rate(ours[:1000]))
            lasts.append(rate(ours[-1000:]))
            url = f"sqlite:///{folder / 'optuna'}"
            shipped_rates.append(rate(optuna_times(f"{url}.db", given.optuna, wal=False)))
            wal_rates.append(rate(optuna_times(f"{url}-wal.db", given.optuna, wal=True)))
    first, last, shipped, wal = map(median, (firsts, lasts, shipped_rates, wal_rates))
    flat = median(b / a for a, b in zip(firsts, lasts, strict=True))
    print(f"luthier                    {first:8.1f} trials/s over the first 1,000")
    print(f"luthier                    {last:8.1f} trials/s over the last 1,000 of {given.trials:,}")
    print(f"optuna RDB, as shipped     {shipped:8.1f} trials/s over {given.optuna}")
    print(f"optuna RDB, WAL + normal   {wal:8.1f} trials/s over {given.optuna}")
    print(f"ratio to optuna as shipped {first / shipped:8.1f}   (must be at least 30)")
    print(f"ratio to optuna WAL        {first / wal:8.1f}   (must be at least 10)")
    print(f"last 1,000 / first 1,000   {flat:8.2f}   (must be at least 0.7)")


if __name__ == "__main__":
    main()
