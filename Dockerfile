# trimtab's server. Built from a checkout: docker build -t trimtab .
# Runs as a numeric user and writes to /var/lib/trimtab and /tmp only, so the root file system may be read-only.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/src/constraints.txt
COPY constraints.txt ./
# The build tools have an environment of their own; nothing of it reaches the second stage.
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install build hatchling grpcio-tools mypy-protobuf googleapis-common-protos
# Dependencies before the source, so that a change of code does not install them again.
COPY pyproject.toml README.md hatch_build.py ./
COPY protos protos
RUN python -m venv /opt/trimtab \
 && /opt/build/bin/python -c "import tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']; groups = extras['optional-dependencies']; print('\n'.join(d for d in extras['dependencies'] + groups['cli'] + groups['service'] + groups['otel'] if not d.startswith('trimtab')))" > requirements.txt \
 && /opt/trimtab/bin/pip install --requirement requirements.txt
COPY clients/python clients/python
COPY service service
RUN /opt/build/bin/python -m build --wheel --no-isolation --outdir dist \
 && /opt/trimtab/bin/pip install --no-deps dist/*.whl \
 && /opt/trimtab/bin/python -m compileall -q /opt/trimtab/lib

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
