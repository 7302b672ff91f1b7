#!/usr/bin/env bash
# Minifies the browser snippet. The result is committed, so that a build needs no Node; a test compares the two.
# usage: scripts/build-snippet.sh [--print]     (--print writes to stdout instead of the file)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT/edge/publication/src"

minified="$("$ESBUILD_BIN" snippet.js --minify --target=es2021 --log-level=error)"
if [ "${1:-}" = --print ]; then printf '%s\n' "$minified"; else printf '%s\n' "$minified" >snippet.min.js; fi
