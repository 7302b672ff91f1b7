# Each verb is one line; what it needs, scripts/setup.sh installs (a no-op the second time).
SHELL := /bin/bash
RUN := set -euo pipefail; . scripts/env.sh;

.PHONY: setup build install demo test check audit bench clean
setup: ; @bash scripts/setup.sh
build: setup ; @bash scripts/build.sh
install: setup ; @bash scripts/install.sh
demo: build ; @$(RUN) exec "$${CARGO_TARGET_DIR:-target}/debug/demo"
test: build ; @bash scripts/test.sh
check: setup ; @bash scripts/check.sh
# Known vulnerabilities; needs the network beyond package registries, which CI does not have.
audit: setup ; @$(RUN) cargo deny check advisories && PATH="$$(dirname "$$WEIR_NODE"):$$PATH" npm audit
bench: setup ; @bash scripts/bench.sh
clean: ; rm -rf target edge/*/build node_modules
