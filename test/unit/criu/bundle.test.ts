import { expect, test } from 'vitest';
import { arrivalBundle, type OciConfig } from '../../../plugin/criu/bundle.ts';
import { lastErrors } from '../../../plugin/criu/log.ts';

const config = (hooks?: OciConfig['hooks']): OciConfig => ({
  ociVersion: '1.2.0',
  ...(hooks ? { hooks } : {}),
  linux: {
    namespaces: [{ type: 'mount' }, { type: 'network' }, { type: 'pid' }],
    sysctl: { 'net.ipv4.ip_unprivileged_port_start': '0', 'kernel.shm_rmid_forced': '1' },
    seccomp: { defaultAction: 'x' },
  },
});

test('the network is left to the one who starts runc; nothing else changes', () => {
  const { config: changed, setKey, sysctl } = arrivalBundle(config(), '/criu.conf');
  expect(setKey).toBeUndefined();
  expect(changed.linux.namespaces).toEqual([{ type: 'mount' }, { type: 'network', path: '/proc/self/ns/net' }, { type: 'pid' }]);
  expect(changed.linux.sysctl).toEqual({ 'kernel.shm_rmid_forced': '1' });
  expect(sysctl).toEqual({ 'net.ipv4.ip_unprivileged_port_start': '0' });
  expect(changed.hooks?.createRuntime).toBeUndefined();
  expect(changed.annotations).toEqual({ 'org.criu.config': '/criu.conf' });
  expect(changed.linux['seccomp']).toEqual({ defaultAction: 'x' });
});

test("Docker's own hook is taken out and returned, others stay", () => {
  const own = { path: '/proc/1/exe', args: ['libnetwork-setkey', '-exec-root=/run/docker', 'a', 'b'] };
  const other = { path: '/usr/bin/nvidia-container-runtime-hook', args: ['nvidia', 'prestart'] };
  const { config: changed, setKey } = arrivalBundle(config({ prestart: [own, other], poststop: [other] }), '/criu.conf');
  expect(setKey).toEqual(own);
  expect(changed.hooks?.prestart).toEqual([other]);
  expect(changed.hooks?.['poststop']).toEqual([other]);
});

test('the errors of a CRIU log on one line', () => {
  const log = [
    "(00.003700) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted",
    '(00.003756) Error (criu/util.c:1500): rlimit: too low',
    '(00.004000) Warn  (criu/x.c:1): never mind',
    '(00.011004)     42: Error (criu/sk-inet.c:185): inet: In-flight connection (l) for 1d25e',
  ].join('\n');
  expect(lastErrors(log)).toBe('criu/util.c:1500: rlimit: too low; criu/sk-inet.c:185: inet: In-flight connection (l) for 1d25e');
  expect(lastErrors('all good')).toBe('');
});
