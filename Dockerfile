# The bot in a container: docs/deploy.md says what a redeploy does to its data, and what to set where.
#
#     docker build -t inviteledger .
#     docker run --env-file .env -v inviteledger-data:/data --stop-timeout 50 inviteledger

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/inviteledger
WORKDIR /src
COPY requirements.lock ./
RUN /opt/inviteledger/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE inviteledger.py supervisor.py ./
COPY actors actors
COPY persistence persistence
COPY ledger ledger
COPY sandbox sandbox
RUN /opt/inviteledger/bin/pip install --no-build-isolation --no-deps .

FROM python:3.11-slim-bookworm
# A volume that is new and empty takes over the owner of the folder it is mounted on.
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin inviteledger \
    && install -d -m 0700 -o inviteledger -g inviteledger /data
COPY --from=build /opt/inviteledger /opt/inviteledger
# No VOLUME: it would hide a forgotten one behind a volume without a name, and Railway refuses it.
ENV PATH=/opt/inviteledger/bin:$PATH LEDGER_DATA=/data LEDGER_LOG=json
USER inviteledger
WORKDIR /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["inviteledger", "healthcheck"]
CMD ["inviteledger", "run"]
