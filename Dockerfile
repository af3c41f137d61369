# The service and its worker: one image, two commands (`serve`, `worker`). Built with pinned dependencies, without a
# compiler or pip in the result; no secret is needed to build it, and none is in it.
#
#   docker build -t rootstock .
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/rootstock
WORKDIR /source
# Dependencies first: they change less often than the source, and torch alone is most of the image.
COPY constraints.txt ./
RUN TORCH="$(sed -n 's/^torch==//p' constraints.txt)" \
 && /opt/rootstock/bin/pip install --index-url https://download.pytorch.org/whl/cpu "torch==${TORCH}+cpu" \
 && sed -i '/^torch==/d' constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY client ./client
COPY app ./app
COPY models ./models
COPY storage ./storage
COPY migrations ./migrations
RUN /opt/rootstock/bin/pip install -c constraints.txt ./client '.[postgres,s3]' \
 && /opt/rootstock/bin/pip uninstall --yes pip \
 && /opt/rootstock/bin/python -m compileall -q /opt/rootstock/lib

FROM python:${PYTHON}
# LightGBM needs OpenMP.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 rootstock \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/rootstock --shell /usr/sbin/nologin rootstock \
 && install --directory --owner rootstock --group rootstock --mode 0700 /var/lib/rootstock
COPY --from=build /opt/rootstock /opt/rootstock
ENV PATH=/opt/rootstock/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ROOTSTOCK_HOME=/var/lib/rootstock
VOLUME /var/lib/rootstock
USER 10001:10001
WORKDIR /var/lib/rootstock
EXPOSE 8321
# Of `serve`; a worker has a check of its own in docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["rootstock", "--url", "http://127.0.0.1:8321", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["rootstock"]
CMD ["serve", "--no-worker"]
