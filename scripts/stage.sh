# shellcheck shell=bash
# `stage NAME command...` runs a command and prints how long it took; and `beside` runs several at once;
# sourced by build.sh, test.sh, check.sh, .ci/run.
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

# beside LANES COMMAND...: runs COMMAND, and each of the functions that LANES names (with blanks between) at the same time. What
# a lane says is told when all have ended, and again at the end which stages failed, wherever they stand in what was told.
# Fails if one of them does.
beside() {
  local lanes=$1 own=0 other=0 lane told
  local -A pids=()
  told="$(mktemp -d)"
  for lane in $lanes; do
    "$lane" >"$told/$lane" 2>&1 &
    pids[$lane]=$!
  done
  # shellcheck disable=SC2064 # of these lanes, whatever the variables are then
  trap "kill ${pids[*]} 2>/dev/null || true; rm -rf '$told'" EXIT
  shift
  ("$@") || own=$?
  for lane in $lanes; do
    wait "${pids[$lane]}" || other=$?
    cat "$told/$lane"
  done
  if [ "$own" != 0 ]; then printf '\nbeside: %s FAILED (%s)\n' "$*" "$own" >&2; fi
  if [ "$other" != 0 ]; then
    printf '\nbeside, failed in the lanes:\n' >&2
    # shellcheck disable=SC2086 # each lane is a file
    (cd "$told" && grep -HE '^<== .* FAILED after |^test .* FAILED$|^ *(✖|not ok) ' $lanes >&2) || true
  fi
  trap - EXIT
  rm -rf "$told"
  [ "$own" = 0 ] || exit "$own"
  [ "$other" = 0 ] || exit "$other"
}
