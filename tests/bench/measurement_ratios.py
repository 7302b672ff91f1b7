#!/usr/bin/env python3
"""Ratios of what `bench_measurement` printed: measurement_ratios.py RESULTS, one JSON object a line. Medians of all rounds."""

import json
import statistics
import sys


def main():
    told, peaks = {}, {}
    with open(sys.argv[1], encoding="utf-8") as results:
        for line in map(json.loads, results):
            told.setdefault(line["what"], []).append(line["ms"])
            peaks[line["what"]] = max(peaks.get(line["what"], 0), line.get("peak_mib") or 0)
    median = {what: statistics.median(times) for what, times in told.items()}
    full = median.get("weir, full refresh")
    for what, of, than in [
        ("full refresh / plain SQL in DuckDB", full, median.get("duckdb, plain SQL")),
        ("incremental / full refresh", median.get("weir, incremental refresh"), full),
        *((f"{what} / full refresh", time, full) for what, time in median.items() if what.startswith("polars") and "," in what or what == "postgres"),
    ]:
        if of is not None and than:
            print(f"{what}: {of / than:.3f} ({of:.0f} / {than:.0f} ms)")
    for what, times in told.items():
        if "explain" in what:
            print(f"{what}: {median[what]:.0f} ms, at most {max(times):.0f} ms")
    for what, peak in peaks.items():
        if peak and ("refresh" in what or "plain" in what or "polars" in what):
            print(f"peak memory of {what}: {peak} MiB")


if __name__ == "__main__":
    main()
