# One image for the API and the scheduler: docker-compose.yml runs both from it.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.lock /tmp/requirements.lock
RUN pip install --require-hashes --no-deps -r /tmp/requirements.lock
# Last and apart, as in the Makefile: plain PyPI serves CUDA, and of what it requires the lock has installed all.
COPY requirements.txt /tmp/requirements.txt
RUN pip install --extra-index-url "${TORCH_INDEX}" "$(grep ^torch== /tmp/requirements.txt)"

FROM ${PYTHON_IMAGE}
# A named volume takes over the owner of the folder that it is first mounted on.
RUN useradd --system --uid 10001 --user-group --home-dir /data --no-create-home marquee \
    && install --directory --owner=marquee --group=marquee --mode=0700 /data
COPY --from=builder /opt/venv /opt/venv
WORKDIR /app
COPY movie_pipeline.py ./
COPY backend ./backend
# Inside a container loopback reaches nobody; on all addresses the service has a key of its own making.
# Weights of a model other than the packaged one are kept with the rest of the data.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    HF_HOME=/data/huggingface \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
EXPOSE 8000
# The first start embeds the starter catalogue. http.client, for urllib would ask a proxy that is configured.
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=10m \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/health/ready'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "backend", "serve"]
