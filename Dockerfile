# The first stage builds, the second runs. Both are of one Debian release: the program is linked
# to its C library.
FROM rust:1.95-slim-bookworm AS build
# The image brings a C compiler along, which SQLite, zstd and the TLS library are built with.
WORKDIR /build

# Dependencies first, with an empty program in Weir's place: this layer stays until they change.
# The image is the server, the edge and the commands that speak to the server; `weir simulate`, `replay` and `demo` are left out.
COPY Cargo.toml Cargo.lock ./
COPY crates crates
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --no-default-features --features edge,operate --bin weir \
    && rm -rf src

# cargo goes by time stamps, and the copied files may be older than the empty program.
COPY openapi.yaml ./
COPY migrations migrations
COPY proto proto
COPY src src
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --no-default-features --features edge,operate --bin weir

# What the volume begins as: the program's own, for nobody else.
RUN install --directory --mode=0700 --owner=10001 --group=10001 /data


FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Weir" \
      org.opencontainers.image.description="One trace budget for a whole fleet: the control plane for head sampling of distributed traces" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chown=0:0 --chmod=0555 /build/target/release/weir /usr/local/bin/weir
COPY --from=build --chown=10001:10001 /data /var/lib/weir
# The authorities that a certificate of PostgreSQL is checked against; mount your own over it.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt

# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
# The only place Weir writes to, and only without WEIR_DATABASE_URL: the root file system may be
# read-only.
VOLUME /var/lib/weir
WORKDIR /var/lib/weir

# SDKs and agents come from outside the container. For clients of X-Ray's protocol, set
# WEIR_XRAY_LISTEN=0.0.0.0:2000. The admin listener stays on its loopback
# address, where the health check finds it; to reach it from an operator's network, set
# WEIR_ADMIN_LISTEN=0.0.0.0:8778, WEIR_TLS_CERT and WEIR_TLS_KEY; it then asks for tokens (docs/access.md).
# glibc gives each thread an arena, and keeps in it what is freed. With two arenas, a plan of a million
# operations took 1132 MiB at its peak instead of 1242, and was no slower.
ENV MALLOC_ARENA_MAX=2 \
    WEIR_LISTEN=0.0.0.0:5778 \
    WEIR_GRPC_LISTEN=0.0.0.0:14250 \
    WEIR_DATA_DIR=/var/lib/weir \
    WEIR_LOG_FORMAT=json
EXPOSE 5778 14250 8778

HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/weir", "health"]

# SIGTERM drains: reports are flushed and the lease is given back.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/weir"]
CMD ["serve"]
