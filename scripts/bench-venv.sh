# shellcheck shell=bash
# Python with what weir is measured against, in WEIR_BENCH_VENV. Sourced after env.sh by the benchmarks that need it.
WEIR_BENCH_VENV="$WEIR_CACHE/bench-venv"
if ! cmp -s tests/bench/requirements.txt "$WEIR_BENCH_VENV/.weir-requirements"; then
  python3 -m venv --clear "$WEIR_BENCH_VENV"
  "$WEIR_BENCH_VENV/bin/pip" install --quiet --disable-pip-version-check -r tests/bench/requirements.txt
  cp tests/bench/requirements.txt "$WEIR_BENCH_VENV/.weir-requirements"
fi
