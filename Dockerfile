# syntax=docker/dockerfile:1
# trimtab's server. Built from a checkout: docker build -t trimtab .
# Runs as a numeric user and writes to /var/lib/trimtab and /tmp only, so the root file system may be read-only.

# Not the slim image: it has the C compiler and Python's headers, which the hot path is built with.
FROM python:3.11-bookworm AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/src/constraints.txt
COPY constraints.txt ./
# The build tools have an environment of their own; nothing of it reaches the second stage.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/build \
 && /opt/build/bin/pip install build cython hatchling grpcio-tools mypy-protobuf googleapis-common-protos
COPY pyproject.toml README.md hatch_build.py ./
COPY protos protos
COPY clients/python clients/python
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/build/bin/python -m build --wheel --no-isolation --outdir dist \
 && python -m venv /opt/trimtab \
 && /opt/trimtab/bin/pip install "trimtab[service,otel] @ file://$(echo /src/dist/*.whl)" \
 && /opt/trimtab/bin/python -m compileall -q /opt/trimtab/lib
# The hot path, beside its sources in the environment that is served from. An image that would run it interpreted is not
# built.
RUN PYTHONPATH=/opt/trimtab/lib/python3.11/site-packages /opt/build/bin/python -m trimtab_service.compiled \
 && /opt/trimtab/bin/python -c "from trimtab_service import compiled as c; assert c.form() == c.COMPILED, c.form()"

FROM python:3.11-slim-bookworm
COPY --from=build /opt/trimtab /opt/trimtab
RUN install --directory --owner=65532 --group=65532 --mode=0700 /var/lib/trimtab
ENV PATH=/opt/trimtab/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRIMTAB_DATA_DIR=/var/lib/trimtab
USER 65532:65532
WORKDIR /var/lib/trimtab
VOLUME ["/var/lib/trimtab"]
# gRPC; metrics and HTTP probes. Both listen on loopback until the settings say otherwise.
EXPOSE 8740 9740
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-m", "trimtab_service.healthcheck"]
ENTRYPOINT ["trimtab"]
CMD ["serve"]
