# syntax=docker/dockerfile:1

# The wheel, with the browser bundle in it.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements-install.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-install.lock
COPY package.json package-lock.json .npmrc ./
COPY scripts ./scripts
RUN python scripts/build_assets.py
COPY . .
RUN python -m hatchling build -t wheel

# The runtime: no build tools, no Node, no PostgreSQL server.
FROM python:3.13-slim AS packages
WORKDIR /src
RUN python -m venv /opt/zanith
COPY requirements.lock ./
RUN /opt/zanith/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY --from=build /src/dist/*.whl ./
RUN /opt/zanith/bin/pip install --no-cache-dir --no-deps ./*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin zanith
COPY --from=packages /opt/zanith /opt/zanith
ENV PATH=/opt/zanith/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ZANITH_HOST=0.0.0.0 \
    ZANITH_PORT=4321
USER 10001
EXPOSE 4321
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['ZANITH_PORT']}/healthz\", timeout=4)"]
# It listens on every address, so the studio starts only with ZANITH_AUTH_TOKEN (or
# ZANITH_READ_ONLY_AUTH_TOKEN) set, and with ZANITH_DATABASE_URL to say which database.
ENTRYPOINT ["zanith", "studio"]
