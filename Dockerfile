# Two images: `docker build --target cloudcore .` and `docker build --target edgecore .`
#
# Nothing here is of one architecture. Any image with Python 3.11 or newer and its venv module will do as a base.
# Package indexes are the builder's business: pass PIP_INDEX_URL and the like as build arguments. Without a network,
# `make wheels` puts everything into wheels/, and PIP_NO_INDEX=1 takes it from there.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_NO_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_FIND_LINKS=/src
RUN python3 -m venv /build
WORKDIR /src
# What the project depends on changes seldom: a layer of its own. There is no code yet, so the wheel is hollow.
COPY pyproject.toml README.md LICENSE wheels* ./
RUN /build/bin/pip wheel --quiet --wheel-dir /wheels '.[cloud,docker,edge,kubernetes,otel,snappy]'
COPY protocol protocol
COPY cloudcore cloudcore
COPY edgecore edgecore
RUN /build/bin/pip wheel --quiet --no-deps --wheel-dir /wheels .

# Environments without pip: what runs needs no installer.
FROM build AS cloudbuild
RUN python3 -m venv --without-pip /opt/aiokubeedge \
    && /build/bin/pip --python /opt/aiokubeedge/bin/python install --quiet --no-index --find-links /wheels \
        'aiokubeedge[cloud,kubernetes,otel,snappy]'
# 100 MB of schemas of the Kubernetes versions that are not ours.
RUN cd /opt/aiokubeedge/lib/python3*/site-packages/kubernetes_validate/kubernetes-json-schema \
    && kept=$(/opt/aiokubeedge/bin/python -c \
        'from cloudcore.apiserver.validation.schemas import KUBERNETES_VERSION as kept; print(kept)') \
    && find . -mindepth 1 -maxdepth 1 -name 'v*' ! -name "v$kept*" -exec rm -r {} +

FROM build AS edgebuild
RUN python3 -m venv --without-pip /opt/aiokubeedge \
    && /build/bin/pip --python /opt/aiokubeedge/bin/python install --quiet --no-index --find-links /wheels \
        'aiokubeedge[docker,edge,snappy]'

FROM ${BASE_IMAGE} AS cloudcore
LABEL org.opencontainers.image.title="aiokubeedge cloudcore" \
      org.opencontainers.image.description="A Kubernetes control plane for edge nodes, in one process" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that Kubernetes' runAsNonRoot can judge it. The folders pass their owner on to fresh volumes.
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/aiokubeedge /var/lib/aiokubeedge/cloud /var/lib/aiokubeedge/join
COPY --from=cloudbuild /opt/aiokubeedge /opt/aiokubeedge
ENV PATH=/opt/aiokubeedge/bin:$PATH CLOUDCORE_DATA_DIR=/var/lib/aiokubeedge/cloud
USER 10001:10001
VOLUME /var/lib/aiokubeedge/cloud
EXPOSE 6443 10000 10002
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/opt/aiokubeedge/bin/python", "-m", "cloudcore.healthcheck"]
ENTRYPOINT ["cloudcore"]
CMD ["run"]

FROM ${BASE_IMAGE} AS edgecore
LABEL org.opencontainers.image.title="aiokubeedge edgecore" \
      org.opencontainers.image.description="The agent that runs an edge node's pods" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=edgebuild /opt/aiokubeedge /opt/aiokubeedge
ENV PATH=/opt/aiokubeedge/bin:$PATH EDGECORE_DATA_DIR=/var/lib/aiokubeedge/edge
# Root: it drives Docker's socket, and gives its pods' processes the users that they ask for.
# No VOLUME: an agent that drives the host's Docker needs its folder at the same path inside and outside.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/opt/aiokubeedge/bin/python", "-m", "edgecore.healthcheck"]
ENTRYPOINT ["edgecore"]
CMD ["run"]
