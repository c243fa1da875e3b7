# What runs the nodes of the pipeline, on Kubeflow and as a Beam worker: everything of the lock, and the `winnow` command.
#
#   docker build --file infra/docker/pipeline.Dockerfile --tag winnow-pipeline:0.1.0 .
#
# The base has Python 3.11 and glibc 2.41: the wheels of ml-metadata and tensorflow-data-validation want 2.39 at least. It is
# pinned by its tag; whoever can reach the registry pins its digest too: --build-arg BASE=python:3.11.14-slim-trixie@sha256:…
ARG BASE=python:3.11.14-slim-trixie
# The same with a C++ compiler: pyfarmhash, which TFX pulls in, is published as source alone.
ARG BUILD_BASE=python:3.11.14-trixie

FROM ${BUILD_BASE} AS dependencies
COPY infra/requirements/pipeline.lock /tmp/
# The lock is complete, and TFX and ScaNN ask for TensorFlow versions that exclude each other: nothing is resolved here.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/winnow \
    && /opt/winnow/bin/pip install --no-deps --use-pep517 --requirement /tmp/pipeline.lock \
    && /opt/winnow/bin/pip uninstall --yes pip

FROM dependencies AS package
WORKDIR /source
COPY setup.py pyproject.toml README.md LICENSE ./
COPY components components
COPY pipelines pipelines
COPY serving serving
# pip comes back, from the copy inside Python, for this stage alone; setuptools is the lock's.
RUN /opt/winnow/bin/python -m ensurepip \
    && /opt/winnow/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation --no-index --prefix /package .

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="winnow-pipeline" \
      org.opencontainers.image.description="The batch pipeline of the winnow recommender: TFX, Beam, training, evaluation, push" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# A user with a name, since Beam asks for it; without a home, a shell or a right.
RUN groupadd --gid 10001 winnow \
    && useradd --no-log-init --uid 10001 --gid winnow --no-create-home --home-dir /tmp --shell /usr/sbin/nologin winnow \
    && install --directory --owner winnow --group winnow /var/winnow
# The packages change with the lock alone; what changes with each commit is the small layer on top.
COPY --from=dependencies /opt/winnow /opt/winnow
COPY --from=package /package /opt/winnow
# PYTHONSAFEPATH: what lies in the work directory, which is writable, is never imported.
ENV PATH=/opt/winnow/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# Written to: this folder (a volume) and /tmp. The root file system may be read-only.
WORKDIR /var/winnow
# Kubeflow gives its own command, and its nodes no port to ask.
HEALTHCHECK NONE
ENTRYPOINT ["winnow"]
CMD ["--help"]
