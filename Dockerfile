# Elspeth as a container image; ops/docs/runbooks/container-deployment.md says how it is run.
#
#   docker build --tag ghcr.io/johnm-dta/elspeth:v0.1.0 .
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
RUN python -m venv --without-pip /usr/lib/elspeth
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY actors actors
COPY elspeth elspeth
RUN pip --python /usr/lib/elspeth/bin/python install --no-cache-dir --disable-pip-version-check ".[calls,postgres]"

FROM python:${PYTHON_VERSION}-slim
LABEL org.opencontainers.image.title="Elspeth" \
      org.opencontainers.image.description="Auditable row pipelines" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /usr/lib/elspeth /usr/lib/elspeth
COPY ops/container/elspeth /usr/local/bin/elspeth
COPY ops/container/entry.py /usr/lib/elspeth/entry.py
# ./runs/audit.db is kept with the rest of the state. A named volume begins with the owner it finds here.
RUN mkdir -p /app/config /app/input /app/output /app/state \
 && ln -s state /app/runs \
 && chmod 0755 /usr/local/bin/elspeth \
 && chown 1000:1000 /app/output /app/state
# Nothing is compiled at run time, when the file system may be read-only.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
ENTRYPOINT ["elspeth"]
HEALTHCHECK --interval=30s --timeout=30s --start-period=20s --retries=3 CMD ["elspeth", "health"]
