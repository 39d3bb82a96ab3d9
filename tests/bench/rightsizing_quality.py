"""Our profiles against models of AWS Compute Optimizer, the Kubernetes VPA and KRR, walking forward on real load.

    python -m tests.bench.rightsizing_quality [--quick] [--data DIR] [--made N] [--catalog DIR]

Every csv file (timestamp, value) is one load series, put on five-minute intervals (or its own, if coarser). For each
day after the first seven, each profile sees the seven days before and nothing else, and gives a size; the day is
then held against it. All profiles see the same windows.

- `exceedance`: percent of the day's samples above the size; mean over windows.
- `slack`: percent of the size that lay idle, mean over samples and windows; the size is continuous.
- `catalogue_slack`, `catalogue_exceedance`: the same of the cheapest real type with at least so many vCPUs: AWS
  us-east-1, on demand, x86, not burstable. The present machine is taken to have 96 vCPUs. A series that goes above 100
  is no percentage and is scaled so that its highest value is the whole machine.
- `reported`: what the profile itself would have said, from a walk forward inside the seven days it was given.
  `self_report_error_points` is the distance of its mean from that of `exceedance`; at the top the worst of our three.

- `margins`: of each pair that is compared, what ours has less, and how sure it is: `windows` and `files` are the shares
  of 2,000 draws with replacement in which ours is better on both figures (files are the honest unit: windows of one
  file resemble one another); `without_one_file` is whether it holds whichever file is left out, the worst margins.

What was looked at when. The first constants (one exchange rate, 50 and 2.25, a second window of the latest day) were
set on made series and on every second file of the shared data, and the other files only after; so the shared files
were no pure holdout. They were better than the models there by little (0.11 points and 1.1 of slack), and on draws of
eight series of other kinds in about half. The present rule (a tolerance with a rate on either side) was then chosen
without the shared files: on `made_series` of other seeds, on a second generator of server-like loads, and on public
series of other things (household and appliance power, orders of a shop, departures of three airports, hourly bicycle
hire, electricity, traffic and wind; none from a cloud's monitoring), by the share of draws of eight series in which
both targets hold, with other seeds and pieces kept apart to check. There it rose from 0.55 to 0.64 for balanced and
from 0.44 to 0.56 for economy: on eight series that differ so much neither target is sure. Of the constants near the
best, round ones were taken. The shared files were scored before that work with every rule of the design page, by file
(so their nature was known to who chose), then with the chosen rule and the earlier one again, and three times after
changes that were not made for them: drift between working days only; the second window of `safe` left out; and more
headroom for `balanced` (1.4 for 1.2), because on made series it was in want more often than the model of AWS.
Since then ten families of made loads of another hand (daily, bursts, trends, level shifts, batch jobs, flat, random
walks, squares, heavy tails, training runs) and 1,000 `made_series` of new seeds were tried with some 700 other recipes,
with a rule that spreads the past by the drift instead of multiplying its level, and with steeper drifts. For balanced
nothing was better on fresh seeds, and it stayed. For economy more worth beyond the tolerance was (1.75 and 40 for 1.5
and 20, with 2.5 % for 3 %): draws of eight in which it beats the VPA on both rose from 0.45 to 0.49, of twenty-five
from 0.58 to 0.72, on seeds kept apart for it. The shared files were scored once after that.
The last line is one JSON object.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from tests.support.load_files import made_series, metrics_directory, read_series
from tests.support.shared_data import catalog_directory
from tests.support.snapshots import snapshot_of
from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.rightsizing.backtest import cuts_of, walk_forward
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.profiles import PROFILES, Profile
from trimtab_service.rightsizing.samples import Samples
from trimtab_service.rightsizing.series import Series
from trimtab_service.rightsizing.sizes import SizeTable, size_table

TRAIN_DAYS: Final = 7
PRESENT_VCPUS: Final = 96.0
OURS: Final = ("safe", "balanced", "economy")
PAIRS: Final = (("balanced", "aws-compute-optimizer"), ("economy", "vpa"))
DRAWS: Final = 2_000


@dataclass(slots=True)
class Window:
    """One profile on one window; shares 0 to 1."""

    exceedance: float
    slack: float
    catalogue_exceedance: float
    catalogue_slack: float
    reported: float


def normalized(series: Series) -> F64:
    """Percent of the present machine."""
    highest = float(np.nanmax(series.values))
    return series.values if highest <= 100 else series.values * (100 / highest)


def windows_of(series: Series) -> list[tuple[Loads, F64]]:
    """(seven days, the next day's samples) for each day that has some."""
    loads = Loads.of(normalized(series)[None, :], series.end_s, series.step_s)
    per_day = loads.points_per_day
    first = int(np.argmax(~np.isnan(loads.values[0]))) // per_day
    # A day that had to be filled up is no whole day of training.
    first += bool(np.isnan(loads.values[0, first * per_day]) and series.values.size % per_day)
    found = []
    for day in range(first + TRAIN_DAYS, loads.days):
        past = loads.values[:, (day - TRAIN_DAYS) * per_day : day * per_day]
        ahead = loads.values[0, day * per_day : (day + 1) * per_day]
        ahead = ahead[~np.isnan(ahead)]
        if ahead.size and not np.isnan(past).all():
            end = loads.end_s - (loads.days - day) * 86_400
            found.append((Loads(past, end, loads.step_s), np.asarray(ahead, dtype=np.float64)))
    return found


def held(size: float, ahead: F64) -> tuple[float, float]:
    """(share above, mean unused share) of samples against a size."""
    unused = np.maximum(1 - ahead / size, 0).mean() if size > 0 else 0.0
    return float((ahead > size).mean()), float(unused)


def evaluated(profile: Profile, past: Loads, ahead: F64, sizes: SizeTable) -> Window:
    """One profile on one window."""
    walk = walk_forward(profile.estimator(Dimension.CPU), Samples.of(past, cuts_of(past.days)))
    level = float(walk.advised[0])
    kind, _ = sizes.cheapest(np.array([level * PRESENT_VCPUS / 100]), np.zeros(1))
    row = int(np.flatnonzero(sizes.type_index[:-1, 0] == kind[0])[-1]) if kind[0] >= 0 else sizes.vcpus.size - 1
    exceedance, slack = held(level, ahead)
    at_catalogue = held(float(sizes.vcpus[row]) * 100 / PRESENT_VCPUS, ahead)
    return Window(exceedance, slack, *at_catalogue, reported=float(walk.exceedance[0]))


def scored(results: list[Window]) -> dict[str, float]:
    """Means over windows, in percent."""
    columns = {name: np.array([getattr(one, name) for one in results]) for name in Window.__slots__}
    figures = {name: float(np.nanmean(column)) * 100 for name, column in columns.items()}
    figures["self_report_error_points"] = abs(figures["reported"] - figures["exceedance"])
    figures["windows_exceeded"] = float((columns["exceedance"] > 0).mean()) * 100
    return {name: round(value, 3) for name, value in figures.items()} | {"windows": len(results)}


def table(title: str, report: dict[str, dict[str, float]]) -> None:
    """Prints the figures of all profiles."""
    print(f"\n{title}")
    columns = (
        "exceedance",
        "slack",
        "catalogue_exceedance",
        "catalogue_slack",
        "reported",
        "windows_exceeded",
        "windows",
    )
    print(f"{'':22}" + "".join(f"{name:>22}" for name in columns))
    for name, figures in report.items():
        print(f"{name:22}" + "".join(f"{figures[column]:>22.2f}" for column in columns))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What every profile did: `windows` [profile] in one order, and the number of the series that each is of."""

    windows: dict[str, list[Window]]
    series: list[int]

    @property
    def report(self) -> dict[str, dict[str, float]]:
        """The figures of every profile over all windows."""
        return {name: scored(windows) for name, windows in self.windows.items()}


def measured(series: list[Series], sizes: SizeTable) -> Outcome:
    """Every profile on all windows of the series."""
    windows = [
        (number, window)
        for number, one in enumerate(series)
        if one.values.size and np.nanmax(one.values) > 0
        for window in windows_of(one)
    ]
    if not windows:
        raise SystemExit("no series is longer than seven days")
    found = {
        profile.name: [evaluated(profile, past, ahead, sizes) for _, (past, ahead) in windows]
        for profile in PROFILES.values()
    }
    return Outcome(found, [number for number, _ in windows])


def margins(outcome: Outcome) -> dict[str, dict[str, object]]:
    """How much less ours has, in points, and in what share of draws with replacement it is better on both figures."""
    found: dict[str, dict[str, object]] = {}
    series = np.array(outcome.series)
    for ours, theirs in PAIRS:
        pairs = zip(outcome.windows[theirs], outcome.windows[ours], strict=True)
        saved = 100 * np.array([(a.exceedance - b.exceedance, a.slack - b.slack) for a, b in pairs])
        by_series = [saved[series == number] for number in np.unique(series)]
        means = np.array([one.mean(axis=0) for one in by_series])
        left_out = [saved[series != number].mean(axis=0) for number in np.unique(series)] if len(by_series) > 1 else []
        figures: dict[str, object] = dict(
            zip(("exceedance", "slack"), saved.mean(axis=0).round(3).tolist(), strict=True)
        )
        figures |= {"windows": _share_better(saved), "files": _share_better(means)}
        if left_out:
            figures["without_one_file"] = {
                "holds": bool((np.array(left_out) > 0).all()),
                "least": np.min(left_out, axis=0).round(3).tolist(),
            }
        found[f"{ours}_against_{theirs}"] = figures
    return found


def _share_better(saved: F64) -> float:
    random = np.random.default_rng(1)
    drawn = saved[random.integers(len(saved), size=(DRAWS, len(saved)))].mean(axis=1)
    return round(float((drawn > 0).all(axis=1).mean()), 3)


def verdicts(report: dict[str, dict[str, float]]) -> dict[str, bool]:
    """Whether ours beat the models on both figures."""
    return {
        f"{ours}_beats_{theirs}": all(report[ours][name] < report[theirs][name] for name in ("exceedance", "slack"))
        for ours, theirs in PAIRS
    }


def main() -> None:
    """Measures, prints, ends on the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under 50 seconds; a tenth of the made series")
    parser.add_argument("--data", type=Path, default=None, help="a directory of csv files with timestamp,value")
    parser.add_argument("--made", type=int, default=None, help="made series beside the files (default 200)")
    parser.add_argument("--seed", type=int, default=7, help="of the made series")
    parser.add_argument("--catalog", type=Path, default=None, help="a catalogue directory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        snapshot = snapshot_of(options.catalog or catalog_directory(), Path(root))
        region = next(i for (_, name), i in snapshot.region_index.items() if name == "us-east-1")
        sizes = size_table(snapshot, 0, region)
    directory = options.data or metrics_directory()
    paths = sorted(directory.glob("*.csv")) if directory.is_dir() else []
    made = made_series(options.seed, options.made if options.made is not None else (20 if options.quick else 200))
    beside = measured(made, sizes) if made else None
    if beside is not None:
        table(f"{len(made)} made series", beside.report)
        print(verdicts(beside.report), margins(beside))
    if paths:
        outcome = measured([read_series(path) for path in paths], sizes)
        table(f"{len(paths)} files of {directory.name}", outcome.report)
    elif beside is not None:
        print(f"no csv file in {directory.name}: the figures below are of made series")
        outcome = beside
    else:
        raise SystemExit(f"no csv file in {directory}")
    report = outcome.report
    print(margins(outcome))
    answer: dict[str, object] = dict(report)
    answer["self_report_error_points"] = max(report[name]["self_report_error_points"] for name in OURS)
    answer |= verdicts(report)
    answer["margins"] = margins(outcome)
    answer["source"] = "files" if paths else "made"
    print(orjson.dumps(answer).decode())


if __name__ == "__main__":
    main()
