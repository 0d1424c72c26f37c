# Image of the controller and of the mover pods: `velero-py controller`, `velero-py mover backup|restore`.
# Build: make image
FROM docker.io/library/python:3.11-slim-bookworm AS build
WORKDIR /source
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY velero_py_plugin ./velero_py_plugin
RUN python -m venv /opt/velero-py \
 && /opt/velero-py/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/velero-py/bin/pip install --no-cache-dir --no-deps .

FROM docker.io/library/python:3.11-slim-bookworm
COPY --from=build /opt/velero-py /opt/velero-py
# A mover reads files of any owner and gives them back to it; without these rights owners are counted as not restored.
USER 0
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["/opt/velero-py/bin/velero-py"]
CMD ["--help"]
