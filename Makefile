# The commands of everyday work; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help run setup test lint interop interop-clients interop-behind interop-edge upgrade soak soak-ha bench bench-edge bench-build arena arena-trust arena-classes arena-ablation arena-goals otlp-recordings edge-recordings audit-figures fuzz demo openapi fuzz-contract check-chart check-deployment console dist check-dependencies clean

CARGO ?= cargo

help: ## Lists these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Runs Weir on SQLite: SDKs on 127.0.0.1:5778 and (gRPC) :14250, operators on 127.0.0.1:8778
	$(CARGO) run --release --locked -- serve

setup: ## Installs what the tests need and is not there: PostgreSQL, libfaketime, Prometheus, Node.js
	@scripts/setup

# Tests wait more than they compute: for plans, time-outs, other processes.
test: export RUST_TEST_THREADS ?= $(shell expr $$(nproc) "*" 5 / 2)
test: setup ## Runs every test, after installing what is missing
	$(CARGO) test --locked

lint: ## Checks the format and runs clippy, warnings being errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) clippy --test soak_ha --locked -- -D warnings

# A JDK, Maven and Python's venv are not in `make setup`: nothing else needs them.
interop: ## Runs the published SDKs and clients against Weir (needs Go)
	@scripts/setup interop
	@scripts/interop
	$(CARGO) test --locked --test it -- --include-ignored --skip behind --skip interop::edge --skip interop::table interop::
	@WEIR_WRITE_TABLE=interop $(CARGO) test --quiet --locked --test it -- interop::table

# Without the loop of a whole fleet, which a busy machine upsets: some minutes on two cores.
interop-clients: ## Runs the same, one client at a time: what each keeps, and what is counted of it
	@scripts/setup interop
	@scripts/interop
	$(CARGO) test --locked --test it -- --include-ignored --test-threads=2 \
		interop::decisions interop::counts interop::xray

# Builds both with Go, which takes two cores a quarter of an hour the first time.
interop-behind: ## Runs SDKs behind a real Jaeger and a real Collector (needs Go)
	@scripts/setup interop
	@scripts/interop
	@scripts/interop jaeger
	@scripts/interop collector
	$(CARGO) test --locked --test it -- --include-ignored \
		interop::jaeger::java_sdk_behind interop::fleet::a_fleet_behind
	@WEIR_WRITE_TABLE=interop-behind $(CARGO) test --quiet --locked --test it -- interop::table

# Builds both with Go, which takes two cores a quarter of an hour the first time.
# One test after the other: a JVM of each would take two cores longer to start than it is waited for.
interop-edge: ## Runs SDKs before weir edge, with a real Jaeger and real Collectors around it (needs Go)
	@scripts/setup interop
	@scripts/interop
	@scripts/interop jaeger
	@scripts/interop collector-edge
	$(CARGO) test --locked --test it -- --include-ignored --nocapture --test-threads=1 interop::edge

# Three minutes where the release before has to be built, half a minute where it is there.
upgrade: setup ## Runs the release before beside this one on one PostgreSQL, both ways
	WEIR_PREVIOUS_BINARY="$$(scripts/previous-release)" \
		$(CARGO) test --locked --test it -- --ignored --nocapture upgrade::

# About a minute on two cores; WEIR_SOAK_KILLS=n for another number.
soak: export WEIR_SOAK_KILLS ?= 50
soak: setup ## Kills Weir and PostgreSQL 50 times each under load and compares the sums
	$(CARGO) test --locked --test it -- --nocapture crash::

# About a quarter of an hour on two cores; WEIR_SOAK_FAILOVERS=n for another number in each mode.
soak-ha: ## Replaces the primary of a Patroni cluster 20 times under load and compares the sums
	@scripts/setup ha
	$(CARGO) test --locked --test soak_ha

# Ratios of one run on one machine; not part of any test. Seven minutes on two cores.
bench: ## Measures speed beside its limits, prints the table of docs/performance.md, draws docs/growth.svg
	@scripts/setup bench
	$(CARGO) bench --locked --bench speed -- --plot docs/growth.svg

# Builds the Collector with Go, some minutes the first time.
bench-edge: ## Measures weir edge beside decoding and encoding, and beside a real Collector with tail_sampling (needs Go)
	@scripts/interop collector-edge
	$(CARGO) bench --locked --package weir-edge --bench spans
	WEIR_COLLECTOR=$(CURDIR)/target/interop/collector-edge/collector-edge \
		$(CARGO) bench --locked --package weir-edge --bench beside

bench-build: ## Measures the release build from nothing
	$(CARGO) bench --locked --bench speed -- build

# RECORDINGS=folder plays every traffic file of a folder too and writes their sections.
arena: ## Plays Weir against the rules of other systems and writes the tables of docs/arena.md
	$(CARGO) bench --locked --package weir-simulate --bench arena -- --write $(CURDIR)/docs/arena.md $(if $(RECORDINGS),--recordings '$(abspath $(RECORDINGS))')

arena-trust: ## Prints the arena's table of agents that are late, silent, new or gone (ROW=part of a row's name)
	@$(CARGO) bench --locked --package weir-simulate --bench arena -- --trust $(if $(ROW),--only '$(ROW)')

arena-classes: ## Prints the arena's table of errors, slow traces and test accounts
	@$(CARGO) bench --locked --package weir-simulate --bench arena -- --classes

arena-ablation: ## Prints what each part of the allocation is worth (RECORDINGS=folder for recorded traffic too; PART=part of a name)
	@$(CARGO) bench --locked --package weir-simulate --bench arena -- --ablation $(if $(RECORDINGS),--recordings '$(abspath $(RECORDINGS))') $(if $(PART),--only '$(PART)')

arena-goals: ## Prints the arena's goals on the recordings in RECORDINGS (ONLY=start of a name)
	@$(CARGO) bench --locked --package weir-simulate --bench arena -- --goals --recordings '$(abspath $(RECORDINGS))' $(if $(ONLY),--only '$(ONLY)')

otlp-recordings: ## Reads the recorded exports of OTLP in RECORDINGS=folder in both encodings
	RECORDINGS='$(abspath $(RECORDINGS))' $(CARGO) test --locked --test it -- --ignored --nocapture otlp::recorded
	RECORDINGS='$(abspath $(RECORDINGS))' $(CARGO) test --locked --package weir-edge --test json -- --ignored

edge-recordings: ## Sends the recorded traces in RECORDINGS=folder through weir edge, and compares what it kept with what was sent
	RECORDINGS='$(abspath $(RECORDINGS))' $(CARGO) test --locked --package weir-edge --test edge -- --ignored --nocapture recorded::

# Some minutes for each recording.
audit-figures: ## Compares what changes were expected to do with what they did, on the recordings in RECORDINGS=folder
	RECORDINGS='$(abspath $(RECORDINGS))' $(CARGO) test --locked --test it -- --ignored --nocapture audit::replayed allocation::predicted

# About ten minutes of building the first time, then SECONDS for each target; TARGETS="reports xray" for some.
fuzz: SECONDS ?= 60
fuzz: ## Reads damaged bodies of every protocol, and of the database, for a minute each
	@scripts/fuzz $(SECONDS) $(TARGETS)

console: setup ## Draws every screen of a Weir under load, in a browser: target/console, and the pictures of docs/console.md
	$(CARGO) test --locked --test it -- --ignored console::browser::pictures

demo: ## Runs Weir and a made-up fleet for a minute and draws target/demo.svg
	$(CARGO) run --release --locked -- demo --plot target/demo.svg

openapi: ## Lints openapi.yaml (fetches the linter with npx)
	npx --yes @redocly/cli@2 lint --config .redocly.yaml openapi.yaml

fuzz-contract: ## Sends a running Weir what openapi.yaml allows and forbids (installs schemathesis)
	@scripts/schemathesis

# Seconds where Helm and the tests are built.
check-chart: ## Lints, renders and packages the Helm chart, and compares it with deploy/kubernetes (needs Helm or Go)
	helm=$$(scripts/helm) && WEIR_HELM=$$helm $(CARGO) test --locked --test it -- --include-ignored chart::

check-deployment: ## Checks deploy/ offline (needs Python, Go, Prometheus and systemd-analyze)
	@scripts/check-deployment

check-dependencies: ## Checks dependencies by deny.toml; known vulnerabilities with ADVISORY_DB=folder
	@scripts/check-dependencies

# A quarter of an hour on two cores. DEBIAN_ROOT=folder with a bare Debian installs the package there, too.
dist: ## Builds a static program, a release archive and a Debian package into target/dist, and checks them
	@scripts/dist

clean: ## Removes what was built and installed inside the checkout
	$(CARGO) clean
	rm -rf tests/interop/javascript/node_modules tests/grafana/node_modules tests/oidc/node_modules tests/console/node_modules
