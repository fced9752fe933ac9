# The image holds one static program and its licence, nothing else.
#
#   docker build -t mailroom .
#       builds the program from these sources.
#
#   scripts/build-static
#   docker build -t mailroom --build-arg BINARY=target/x86_64-unknown-linux-musl/release/mailroom .
#       takes the program that was built on this machine and pulls no image at all. The old
#       builder (DOCKER_BUILDKIT=0) also needs `--target image-prebuilt`, because it runs every
#       stage on the way to the one it was asked for.
#
#   docker run --read-only --cap-drop=ALL --memory=6m --env-file mailroom.env mailroom
#
# Nothing has to be writable except /output, and that is a volume: MAILROOM_SES_OUTPUT_PATH, for
# provider responses that were not a plain success and for undelivered.csv. Give it a name to keep
# it (`-v mailroom-output:/output`), or a tmpfs owned by the user below to forget it
# (`--tmpfs /output:mode=0700,uid=65532,gid=65532`).

# A file inside the build context; empty means: build from source.
ARG BINARY=""
# Any image with Rust on Alpine will do.
ARG RUST_IMAGE=rust:1-alpine

FROM scratch AS empty
WORKDIR /output

FROM scratch AS base
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mailroom" \
      org.opencontainers.image.description="Sends the mails that a PostgreSQL database asks for" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY LICENSE /LICENSE
COPY --from=empty --chown=65532:65532 /output /output
ENV MAILROOM_SES_OUTPUT_PATH=/output
VOLUME ["/output"]
WORKDIR /
# A number, so that Kubernetes' runAsNonRoot can be checked without a passwd file.
USER 65532:65532
# Whether mail moves, not only whether the process is there. `send` without a database has nothing
# to ask: docker run --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 \
    CMD ["/mailroom", "health"]
# The program is process 1 and handles SIGTERM itself.
ENTRYPOINT ["/mailroom"]
CMD ["run"]

FROM base AS image-prebuilt
ARG BINARY
# When no binary is given, the old builder still walks through here: it then copies a file that is
# in the image already.
COPY ${BINARY:-LICENSE} /mailroom

FROM ${RUST_IMAGE} AS build
# ring compiles C.
RUN apk add --no-cache gcc musl-dev
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY migrations migrations
RUN cargo build --release --locked \
 && mv target/release/mailroom /mailroom \
 && { ! readelf -d /mailroom | grep NEEDED; }

FROM base AS image
COPY --from=build /mailroom /mailroom

FROM image${BINARY:+-prebuilt}
