# shellcheck shell=bash
# `stage NAME command...` runs a command and prints how long it took; sourced by build.sh, test.sh, check.sh, .ci/run.
stage() {
  local name=$1 began=$SECONDS; shift
  printf '\n==> %s\n' "$name"
  if "$@"; then
    printf '<== %s: %d s\n' "$name" "$((SECONDS - began))"
  else
    local status=$?
    printf '<== %s FAILED after %d s\n' "$name" "$((SECONDS - began))" >&2
    exit "$status"
  fi
}
