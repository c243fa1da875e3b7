# What answers requests: the gateway, the log writer and the embedded model server. No TFX, no Beam, no pip, no shell needed.
#
#   docker build --file infra/docker/serving.Dockerfile --tag winnow-serving:0.1.0 .
#
# The base has Python 3.11 and glibc 2.41: the wheels want 2.39 at least. It is pinned by its tag; whoever can reach the
# registry pins its digest too: --build-arg BASE=python:3.11.14-slim-trixie@sha256:…
ARG BASE=python:3.11.14-slim-trixie

FROM ${BASE} AS dependencies
COPY infra/requirements/serving.lock /tmp/
# The lock is complete, and TFX and ScaNN ask for TensorFlow versions that exclude each other: nothing is resolved here.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/winnow \
    && /opt/winnow/bin/pip install --no-deps --only-binary :all: --requirement /tmp/serving.lock \
    && /opt/winnow/bin/pip uninstall --yes pip

FROM ${BASE} AS package
WORKDIR /package
COPY components components
COPY serving serving
# Byte code is made now, for a file system that is read-only later.
RUN python -m compileall -q --invalidation-mode unchecked-hash \
    -s /package -p /opt/winnow/lib/python3.11/site-packages .

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="winnow-serving" \
      org.opencontainers.image.description="The gateway of the winnow recommender, its log writer and its model server" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# A user with a name, since libraries ask for it; without a home, a shell or a right.
RUN groupadd --gid 10001 winnow \
    && useradd --no-log-init --uid 10001 --gid winnow --no-create-home --home-dir /tmp --shell /usr/sbin/nologin winnow \
    && install --directory --owner winnow --group winnow /var/winnow
# The packages change with the lock alone; what changes with each commit is the small layer on top.
COPY --from=dependencies /opt/winnow /opt/winnow
COPY --from=package /package /opt/winnow/lib/python3.11/site-packages
# PYTHONSAFEPATH: what lies in the work directory, which is writable, is never imported.
ENV PATH=/opt/winnow/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# Written to: this folder (a volume) and /tmp. The root file system may be read-only.
WORKDIR /var/winnow
EXPOSE 8080
# For Docker alone; Kubernetes asks by the probes of infra/k8s. The log writer, which has no port, switches it off.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["python", "-m"]
CMD ["serving.gateway", "--workdir=/var/winnow", "--host=0.0.0.0"]
