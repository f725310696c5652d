# Each target installs what it lacks; the scripts in tools/setup/ say what that is.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help serve test test-dawn test-gpu build check bench bench-native bench-dawn bench-load diversity results

PORT ?= 8080
# Shells that never read a profile lack the folder of rustup's cargo.
export PATH := $(PATH):$(HOME)/.cargo/bin

setup := tools/setup
with_wasm := $(setup)/with-wasm-toolchain
with_browser := $(setup)/with-browser-tools
with_pillow := $(setup)/with-pillow
with_engines := $(setup)/with-engines
with_dawn := $(setup)/with-dawn
# One cargo profile for all builds of the page; trunk's own --release adds wasm-opt, which takes
# minutes, for the build that goes to a host.
profile := --cargo-profile web
test_page := target/test-page
# The kernels and their cases as a program for tests/dawn: with the worker's profile and features, so that
# all it needs is compiled already.
define build_kernels
	$(with_wasm) cargo build --locked --target wasm32-unknown-unknown --profile web --no-default-features --features gpu --bin compare_kernels
	$(with_wasm) wasm-bindgen --target web --no-typescript --out-dir target/compare-kernels "$${CARGO_TARGET_DIR:-target}/wasm32-unknown-unknown/web/compare_kernels.wasm"
endef
# One file at a time: each has all cores, and a kernel that two compile at once takes twice as long.
test_dawn := $(with_dawn) env DIST=$(test_page) node --test --test-concurrency=1 --test-reporter=spec tests/dawn/*.test.mjs

help:
	@echo "make serve   build the page, serve it on 127.0.0.1 and rebuild it on changes (PORT=$(PORT))"
	@echo "make test    unit and parity tests, then the page in headless Chromium, Firefox and WebKitGTK, its kernels and engine on Dawn"
	@echo "make test-dawn  the kernels and the page's engine in Node.js on Dawn, a WebGPU with half precision on any machine"
	@echo "make build   the optimized page for a static host, in dist/"
	@echo "make check   formatting, lints and documentation"
	@echo "make bench   step times in headless Chromium beside another engine's, and the page's long tasks"
	@echo "make test-gpu   the kernels against torch's values on this machine's graphics card"
	@echo "make bench-native  SDXL's networks on this machine's graphics card, without a browser (BENCH=--plan counts alone)"
	@echo "make bench-dawn  kernels, blocks and a whole network on Dawn's adapter, beside burn's and another engine's"
	@echo "make bench-load  how fast full-size files of SDXL arrive in the page's store (needs 20 GB of disk)"
	@echo "make results  the experiments of docs/results on the emoji pair, hours on two cores (pictures stay in target/results)"
	@echo "make diversity  how different the seeds of a prompt are, by mode"

results:
	tools/results/emoji

serve:
	@$(setup)/install-trunk
	@echo "Firststep: http://127.0.0.1:$(PORT)/ once the build is done (the first takes some minutes)."
	@exec $(with_wasm) trunk serve $(profile) --dist target/serve --address 127.0.0.1 --port $(PORT)

# The native and the wasm build follow each other: both at once don't fit a small machine's memory.
test:
	@$(setup)/install-trunk
	@$(with_browser) true
	@$(with_pillow) true
	@$(with_engines) true
	@$(with_dawn) true
	cargo test --locked
	$(with_wasm) trunk build $(profile) --dist $(test_page)
	$(with_browser) $(with_pillow) $(with_engines) env DIST=$(test_page) node --test --test-concurrency=2 --test-reporter=spec tests/browser/*.test.mjs tests/engines/*.test.mjs
	$(build_kernels)
	$(test_dawn)

test-gpu:
	cargo test --locked --features gpu --test kernels -- --test-threads=1

test-dawn:
	@$(setup)/install-trunk
	@$(with_dawn) true
	$(with_wasm) trunk build $(profile) --dist $(test_page)
	$(build_kernels)
	$(test_dawn)

build:
	@$(setup)/install-trunk
	@$(setup)/install-wasm-opt
	$(with_wasm) env FIRSTSTEP_COMMIT="$$(git describe --always --dirty 2>/dev/null)" trunk build --release $(profile) --dist dist
	@echo "Firststep is in dist/: any static host can serve it, below any path."

check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	CLIPPY_CONF_DIR=tools/clippy/wasm $(with_wasm) cargo clippy --locked --target wasm32-unknown-unknown --features gpu --lib --bin page --bin worker --bin loader --bin compare_kernels -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps

bench:
	@$(setup)/install-trunk
	@$(with_browser) true
	$(with_wasm) trunk build $(profile) --dist $(test_page)
	$(with_browser) env DIST=$(test_page) node benches/run.mjs

bench-dawn:
	@$(setup)/install-trunk
	@$(with_dawn) true
	cargo bench --locked --features gpu --bench native --no-run
	$(with_wasm) trunk build $(profile) --dist $(test_page)
	$(with_dawn) env DIST=$(test_page) node benches/dawn.mjs
	$(with_dawn) node benches/blocks.mjs
	$(with_dawn) cargo bench --locked --features gpu --bench native -- --against-burn
	$(with_dawn) cargo bench --locked --features gpu --bench native -- --against-burn --software

# On a graphics card over Vulkan, Metal or DirectX 12, with the kernels of the browser.
bench-native:
	cargo bench --locked --features gpu --bench native -- $(BENCH)

# Its files have the layout that pack prints; the browser tests' files do too, where cargo test built it.
bench-load:
	@$(setup)/install-trunk
	@$(with_browser) true
	cargo build --locked --bin pack
	$(with_wasm) trunk build $(profile) --dist $(test_page)
	$(with_browser) env DIST=$(test_page) node benches/load.mjs

diversity:
	@$(setup)/install-trunk
	@$(with_browser) true
	$(with_wasm) trunk build $(profile) --dist $(test_page)
	$(with_browser) env DIST=$(test_page) node benches/diversity.mjs
