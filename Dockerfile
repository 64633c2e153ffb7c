# One image for worker, Flower and producers: `docker build -t segue .`
#
# For a GPU: `docker build --build-arg CUDA_PACKAGES=nvidia-cublas-cu12==12.9.1.4 -t segue:cuda .`
# CTranslate2 opens libcublas.so.12 by name and needs nothing else of CUDA but the host's driver.

FROM python:3.12.12-slim-bookworm AS build
ARG CUDA_PACKAGES=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/segue
WORKDIR /src
COPY . .
RUN /opt/segue/bin/pip install --constraint constraints.txt . ${CUDA_PACKAGES} \
    && /opt/segue/bin/pip uninstall --yes pip

FROM python:3.12.12-slim-bookworm
RUN groupadd --gid 10001 segue \
    && useradd --uid 10001 --gid segue --no-create-home --shell /usr/sbin/nologin segue \
    && install --directory --owner segue --group segue /var/cache/segue
COPY --from=build /opt/segue /opt/segue
# Python writes no byte code: the root file system is read-only. Weights go to the cache volume.
ENV PATH=/opt/segue/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/var/cache/segue \
    LD_LIBRARY_PATH=/opt/segue/lib/python3.12/site-packages/nvidia/cublas/lib
WORKDIR /tmp
USER 10001:10001
CMD ["segue", "worker"]
