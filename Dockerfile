# docker build -t cytoshift . && docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" cytoshift demo
#
# Runs as any user, also one without a home directory, and writes to /work and /tmp alone. For train.workers give it more
# shared memory than docker does: --shm-size=1g. With an NVIDIA card build with --build-arg INDEX=https://pypi.org/simple
# and run with --gpus all.
FROM python:3.11-slim

ARG INDEX=https://download.pytorch.org/whl/cpu
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE /source/
COPY src /source/src
RUN pip install --no-cache-dir --extra-index-url "$INDEX" -c /source/constraints.txt /source \
    && rm -r /source \
    && mkdir -m 1777 /work

# Compiled loops are kept as long as the container is.
ENV NUMBA_CACHE_DIR=/tmp/cytoshift-compiled
USER 65534:65534
WORKDIR /work
ENTRYPOINT ["cytoshift"]
CMD ["demo"]
