# The gate in a container; docs/container.md says how to build and run it.
#
#   docker build -t pmproxy .                      gate and privatemode-proxy
#   docker build --target gate -t pmproxy-gate .   the gate alone, for compose.yaml

# To be built anew, with --pull, whenever Debian mends something.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim
# Pinned by digest: who could change this program would read every word. This is
# the newest one that was to be found in public use on the day of writing, from
# the time when --apiKey had learnt to read a file; compare it with what
# Privatemode publishes, and raise it with them.
ARG UPSTREAM_IMAGE=ghcr.io/edgelesssys/privatemode/privatemode-proxy@sha256:ff900b263a51a437633d15da809e7893a31fa4b1f4acfa4e526c075682d84307

# --- Compiling ---------------------------------------------------------------

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY scripts/deps scripts/deps
RUN scripts/deps build
COPY . .
# Without -g, and without the manual pages: nobody reads them in there.
RUN make -j"$(nproc)" OPTIMISE=-O2 \
 && make OPTIMISE=-O2 install-programs install-files \
	DESTDIR=/out PREFIX=/usr \
 && rm -rf /out/usr/share/man /out/usr/share/doc

# --- The gate: lighttpd, the responder, and s6 to watch them -----------------

FROM ${BASE_IMAGE} AS gate
# Nothing in here becomes another user, so no program may give another's rights.
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
	--no-install-recommends ca-certificates libcurl4 libfcgi0ldbl libgdbm6 \
	libjson-c5 libseccomp2 libssl3 lighttpd lighttpd-mod-deflate \
	lighttpd-mod-openssl s6 \
 && apt-get clean \
 && groupadd --gid 1000 pmproxy \
 && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent \
	--shell /usr/sbin/nologin pmproxy \
 && find / -xdev -type f -perm /6000 -exec chmod ug-s {} + \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old \
	/var/log/* /var/www/html /var/cache/ldconfig/aux-cache \
 && chmod 1777 /run \
 && install -d -m 700 -o pmproxy -g pmproxy /var/lib/pmproxy
COPY --from=build /out/ /
COPY container/ /usr/lib/pmproxy/container/
ENV STATE_DIR=/var/lib/pmproxy \
    RUN_DIR=/run/pmproxy \
    PORT=8080 \
    PMPROXY_ENV=/etc/pmproxy/pmproxy.env \
    PMPROXY_BIN=/usr/lib/pmproxy \
    PMPROXY_SHARE=/usr/share/pmproxy \
    PMPROXY_SOCKET=/run/pmproxy/v1.socket \
    PROCESSES=1 \
    SHELL=/bin/sh
USER 1000:1000
WORKDIR /
VOLUME /var/lib/pmproxy
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s --retries=3 \
	CMD ["pmdoctor", "--quiet", "--check", "gate-health"]
ENTRYPOINT ["/usr/lib/pmproxy/container/start"]

# --- In the upstream's place, for tests and for a look around ----------------

# Laid out as the official image is: the program is a link into /nix/store.
FROM gate AS standin
USER 0:0
COPY --from=build /src/build/tests/standin \
	/nix/store/standin/bin/privatemode-proxy
RUN ln -s /nix/store/standin/bin/privatemode-proxy /usr/bin
USER 1000:1000
HEALTHCHECK NONE
ENTRYPOINT ["/bin/privatemode-proxy", "--host", "0.0.0.0"]

# --- Both in one -------------------------------------------------------------

FROM ${UPSTREAM_IMAGE} AS upstream

FROM gate
COPY --from=upstream /bin/privatemode-proxy /usr/bin/privatemode-proxy
USER 0:0
RUN test ! -L /usr/bin/privatemode-proxy \
 && ln -s ../upstream /usr/lib/pmproxy/container/services/upstream
USER 1000:1000
