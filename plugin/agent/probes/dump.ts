import { randomBytes } from 'node:crypto';
import { explain } from '../../../driver/host/errors.ts';
import { createNetns, netnsPath, removeNetns, type NetnsPlace } from '../../../driver/kernel/netns.ts';
import type { HostSide } from '../../criu/host.ts';
import { lastErrors } from '../../criu/log.ts';
import type { Criu } from '../../criu/program.ts';
import { HOST_PATH } from '../../criu/wrapper.ts';

/** The only port of its namespace that a connection may leave by. */
const PORT = 40_000;
const TIMEOUT_MS = 30_000;

/**
 * A process with an established TCP connection, and its dump. The connection is to itself (RFC 793 §3.4, simultaneous open): where the one port it may leave by
 * is the one it goes to, nobody needs to listen, so bash is enough.
 */
const script = ({ command, environment }: Criu): string => `
dir=$(mktemp -d /run/coat/doctor.XXXXXX) || exit 2
trap 'kill -KILL "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
echo ${PORT} ${PORT} > /proc/sys/net/ipv4/ip_local_port_range
setsid bash -c 'exec 3<>/dev/tcp/127.0.0.1/${PORT} || exit 1; : > "$0/connected"; exec sleep 60' "$dir" < /dev/null > /dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do
  test -e "$dir/connected" && break
  kill -0 "$pid" 2>/dev/null || { echo 'Error (doctor): no connection could be made'; exit 1; }
  sleep 0.02
done
${environment}
if ${command} dump --tree "$pid" --images-dir "$dir" --log-file dump.log --tcp-established --manage-cgroups=ignore > /dev/null 2>&1; then
  set -- "$dir"/tcp-stream-*.img
  test -e "$1" || { echo 'Error (doctor): the connection is not in the images'; exit 1; }
else
  cat "$dir/dump.log"
  exit 1
fi
`;

/**
 * Whether CRIU dumps a TCP connection on this host: only doing it tells, as its own check does not try, and it depends on the kernel (4.1 fails from Linux 6.16 on).
 *
 * @returns why not
 */
export async function whyNoDump(host: HostSide, criu: Criu, place: NetnsPlace): Promise<string | undefined> {
  const name = `doctor-${randomBytes(4).toString('hex')}`;
  try {
    await createNetns(place, name);
    const { code, stdout } = await host.run(['bash', '-c', script(criu)], { netns: netnsPath(name), env: { PATH: HOST_PATH }, okCodes: [0, 1], timeout: TIMEOUT_MS });
    return code === 0 ? undefined : lastErrors(stdout, 2) || 'it says nothing about why';
  } catch (error) {
    return explain(error);
  } finally {
    await removeNetns(place, name).catch(() => undefined);
  }
}
