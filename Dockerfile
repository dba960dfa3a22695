# aeclust on a CPU, in a small Debian:
#
#   docker build -t aeclust .
#   docker run --rm --user "$(id -u)" -v "$PWD:/data" aeclust train photos/
#
# `bash .ci/dockerfile` runs these steps in a bare root where no container engine is at hand.
FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/aeclust
ENV PATH=/opt/aeclust/bin:$PATH

# PyTorch for CPUs, without the gigabytes of CUDA.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY pyproject.toml README.md LICENSE /src/
COPY aeclust /src/aeclust
RUN pip install --no-cache-dir /src && rm -rf /src

# A user without a home has no place for the font cache of matplotlib.
ENV MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
ENTRYPOINT ["aeclust"]
CMD ["--help"]
