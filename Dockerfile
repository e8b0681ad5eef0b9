# syntax=docker/dockerfile:1

# GraphiQL, bundled so that it needs no other host.
FROM node:22-slim AS explorer
WORKDIR /build
COPY server/graphiql/package.json server/graphiql/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY server/graphiql ./
RUN npm run build

# Python packages, each checked against its hash. The embedded database (GPL-2) is not among them.
FROM python:3.12-slim AS packages
COPY deploy/requirements.txt /tmp/requirements.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r /tmp/requirements.txt

FROM python:3.12-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    LOG_FORMAT=json
RUN groupadd --gid 10001 cryptovault && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin cryptovault
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY core core
COPY events events
COPY exchange exchange
COPY models models
COPY integrations integrations
COPY services services
COPY resolvers resolvers
COPY graph graph
COPY workers workers
COPY server server
COPY --from=explorer /build/dist server/graphiql/dist
RUN python -m compileall -q /app
USER 10001:10001
EXPOSE 8000
# A worker answers on another port: give its probe there.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["python", "-m", "server"]
CMD ["api"]
