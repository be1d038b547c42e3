# The root file system of the plugin. `npm run plugin` builds it, from dist/files as `npm run build` makes
# them, and exports it: what is removed in the last step is then really gone.
FROM debian:trixie-slim

COPY plugin/image/packages plugin/image/left-out plugin/image/carry-criu /tmp/
RUN sh /tmp/carry-criu sources '' \
 && apt-get -o Acquire::Check-Valid-Until=false update \
 && sed '/^#/d' /tmp/packages | xargs apt-get install --yes --no-install-recommends \
 && sh /tmp/carry-criu install

COPY dist/files/ /
RUN cd / && sed '/^#/d' /tmp/left-out | while read -r pattern; do rm -rf $pattern; done; rm -rf /tmp/*

ENTRYPOINT ["/usr/bin/node", "/usr/lib/coat/agent.cjs"]
