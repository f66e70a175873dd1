# The image: one static binary, a list of what it is made of, and nothing else.
#
#   docker build -t registry.example.com/im/imquota:0.1.0 .
#
# .ci/image builds the same image without an engine and tries it.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN .ci/static /out

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="imquota" \
      org.opencontainers.image.description="Guards the quotas of an IM product, from memory" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/ /
# A number, so that the kubelet can tell that it is not root.
USER 65532:65532
EXPOSE 50051
ENTRYPOINT ["/imquota"]
CMD ["serve"]
