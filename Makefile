# `make demo` and `make test` are all that a user needs; `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-aarch64 test-tables test-label-studio test-page asan tsan fuzz tidy bench peers test-peers test-clusters wheel test-wheel docs format setup clean

# CTest's verdict, the one line that says how many tests passed, is printed last.
verdict_last := sed --unbuffered '/% tests passed, /{h;d};$${G}'

help: ## this list
	@grep --no-filename '^[a-z -]*:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand --tabs=14

demo: setup ## run the main job on real data; the report is build/demo/report.html
	cmake --preset command
	cmake --build --preset command
	build/command/poolwise demo --out build/demo

test: setup ## build everything and run every test
	cmake --preset release
	cmake --build --preset release
	@ctest --preset release | $(verdict_last)

test-tables: setup ## the Python tests with the packages of tables that they read: pyarrow, polars, pandas, duckdb
	cmake --preset release
	cmake --build --preset release --target poolwise_python_stub poolwise
	test -d build/tables || python3 -m venv build/tables
	build/tables/bin/pip install -q -r cmake/requirements.txt -r cmake/requirements-tables.txt
	PYTHONPATH=build/release/python TEST_COMMAND=$$PWD/build/release/poolwise build/tables/bin/python -m pytest -q bindings/python/tests

test-label-studio: setup ## the real Label Studio, installed by pip (some 1 GB): the record is bench/results/label_studio.txt
	cmake --preset release
	cmake --build --preset release --target poolwise
	test -d build/label_studio || python3 -m venv build/label_studio
	build/label_studio/bin/pip install -q -r cmake/requirements-label-studio.txt
	python3 tests/studio/real.py build/release/poolwise build/label_studio/bin/label-studio bench/results/label_studio.txt

test-page: setup ## the labelling page in Chromium (chromium, chromium-driver), and the API by schemathesis
	cmake --preset release
	cmake --build --preset release --target poolwise
	test -d build/page || python3 -m venv build/page
	build/page/bin/pip install -q -r cmake/requirements-page.txt
	build/page/bin/pip install -q --no-deps axe-playwright-python==0.1.8
	build/page/bin/python tests/serve/page.py build/release/poolwise
	build/page/bin/python tests/serve/schema.py build/release/poolwise

asan tsan: setup-sanitizers ## the tests under AddressSanitizer and UBSan, or under ThreadSanitizer
	cmake --preset $@
	cmake --build --preset $@
	@ctest --preset $@ | $(verdict_last)

test-aarch64: setup-aarch64 ## the kernels' tests for 64-bit Arm, cross-compiled and run by QEMU, as root; some hours
	cmake/aarch64.sh
	cmake --preset aarch64
	cmake --build --preset aarch64
	@ctest --preset aarch64 | $(verdict_last)

fuzz: setup-sanitizers ## every fuzzer in turn, FUZZ_SECONDS (3600) together; counts and findings are in build/fuzz/found
	cmake --preset fuzz
	cmake --build --preset fuzz
	tests/fuzz/run.sh build/fuzz

tidy: setup-tidy ## clang-tidy over every file
	cmake --preset tidy
	cmake --build --preset tidy -- -k 0

bench: setup ## run every benchmark
	cmake --preset release
	cmake --build --preset release
	for program in build/release/bench_*; do "$$program"; done
	build/venv/bin/python bench/engine/score_vs_numpy.py build/release/poolwise

peers: setup ## Poolwise beside what else one could pick: a table and a plot in bench/results
	cmake --preset release
	cmake --build --preset release --target poolwise_python_stub
	PYTHONPATH=build/release/python build/venv/bin/python bench/peers/peers.py

test-peers: setup ## the shims beside the libraries that they stand for, installed by pip (torch: some GB)
	cmake --preset release
	cmake --build --preset release --target poolwise_python_stub
	PYTHONPATH=$(CURDIR)/build/release/python build/venv/bin/python tests/conformance/run_peers.py --out bench/results/peer_tests.txt
	test -d build/people || build/venv/bin/python -m venv build/people
	build/people/bin/pip install --quiet --disable-pip-version-check --no-deps crowd-kit==1.4.2 krippendorff==0.9.0 irrCAC==0.4.4
	build/people/bin/pip install --quiet --disable-pip-version-check attrs nltk pandas scikit-learn scipy tabulate tqdm
	build/people/bin/python tests/conformance/people/references.py --check

test-clusters: setup ## one batch over ranks of MPI, Dask and gloo, installed by pip (torch: some GB): the record is bench/results/clusters.txt
	cmake --preset release
	cmake --build --preset release --target poolwise_python_stub poolwise
	test -d build/clusters || python3 -m venv build/clusters
	build/clusters/bin/pip install -q -r cmake/requirements.txt -r cmake/requirements-clusters.txt
	PYTHONPATH=$(CURDIR)/build/release/python build/clusters/bin/python tests/clusters/table.py build/release/poolwise --out bench/results/clusters.txt

wheel: setup ## the Python package with its libraries inside, in build/wheel; WHEEL="POOLWISE_CUDA=ON" builds it for GPUs
	cmake/wheel.sh $(WHEEL)

test-wheel: wheel ## that wheel in an environment of its own, without a compiler: the record is bench/results/wheel.txt
	tests/wheel/run.sh build/wheel/*.whl

docs: setup ## the documentation site, in build/docs/site
	cmake --preset release
	cmake --build --preset release --target poolwise poolwise_python_stub
	cmake/docs.sh build/release/poolwise build/release/python

format: setup-tidy ## put every source file into the one format
	git ls-files -z '*.hpp' '*.cpp' '*.cu' | xargs --null clang-format-14 -i

setup: ## install what the build needs, or say what is missing
	@cmake/setup.sh

.PHONY: setup-sanitizers setup-tidy setup-aarch64
setup-sanitizers setup-tidy setup-aarch64: setup-%:
	@cmake/setup.sh $*

clean: ## remove everything that was built
	rm -rf build
