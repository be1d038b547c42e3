import { describe, expect, test } from 'vitest';
import { enterArgv } from '../../../lab/kernel/enter.ts';
import { parseHierarchies, type Hierarchy } from '../../../lab/kernel/hierarchies.ts';
import { isInit } from '../../../lab/kernel/init.ts';
import { checkCgroup, defaultCgroup } from '../../../lab/needs.ts';
import { run } from '../../../driver/host/run.ts';

const HYBRID = `\
23 1 254:0 / / rw,relatime - ext4 /dev/root rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset,clone_children,release_agent=/lib/agent
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
55 23 0:33 / /elsewhere rw,relatime - cgroup cgroup rw,devices
`;
const UNIFIED = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n';

describe('the hierarchies of this machine', () => {
  test('a hybrid one has version 1 controllers and version 2 beside them', () => {
    expect(parseHierarchies(HYBRID)).toEqual([
      { version: 1, path: '/sys/fs/cgroup/cpu,cpuacct', options: 'cpu,cpuacct' },
      { version: 1, path: '/sys/fs/cgroup/cpuset', options: 'cpuset' },
      { version: 1, path: '/sys/fs/cgroup/devices', options: 'devices' },
      { version: 1, path: '/sys/fs/cgroup/systemd', options: 'none,name=systemd' },
      { version: 2, path: '/sys/fs/cgroup/unified', options: '' },
    ]);
  });

  test('a modern one has only version 2', () => {
    expect(parseHierarchies(UNIFIED)).toEqual([{ version: 2, path: '/sys/fs/cgroup', options: '' }]);
  });

  test('engines get what this machine\'s own containers use', () => {
    expect(defaultCgroup(parseHierarchies(HYBRID))).toBe(1);
    expect(defaultCgroup(parseHierarchies(UNIFIED))).toBe(2);
    // systemd alone as version 1 is no machine for version 1 containers
    expect(defaultCgroup(parseHierarchies(HYBRID).filter(({ options }) => options !== 'devices'))).toBe(2);
  });

  test('what it does not have cannot be asked for', () => {
    const check = (mounts: string, wanted?: 1 | 2) => (): void => checkCgroup(parseHierarchies(mounts), wanted);
    expect(check(HYBRID, 1)).not.toThrow();
    expect(check(HYBRID, 2)).not.toThrow();
    expect(check(UNIFIED)).not.toThrow();
    expect(check(UNIFIED, 1)).toThrow(expect.objectContaining({ code: 'no-cgroup' }));
    const old: Hierarchy[] = parseHierarchies(HYBRID).filter(({ version }) => version === 1);
    expect(() => checkCgroup(old, undefined)).toThrow(expect.objectContaining({ code: 'no-cgroup' }));
  });
});

describe('a host\'s init', () => {
  test('is number 1 of a namespace directly below ours', () => {
    expect(isInit('Name:\tsh\nNSpid:\t4711\t1\nNSpgid:\t1\t1\n')).toBe(true);
  });
  test.each(['Name:\tsh\nNSpid:\t4711\t17\n', 'NSpid:\t4711\n', 'NSpid:\t4711\t90\t1\n', ''])('is not %j', (status) => expect(isInit(status)).toBe(false));
});

test('what enters a host keeps every argument as it is', async () => {
  const argv = ['echo', 'a b', '', '$HOME', "it's", '-n', 'line\nline'];
  const entering = enterArgv(1, [], argv);
  // the same script with something harmless in the place of nsenter
  const script = entering[2]!.replace(/^exec nsenter .* KILL /m, 'exec ');
  const { stdout } = await run(['sh', '-c', script, ...entering.slice(3, 6), 'printf', '<%s>', ...argv]);
  expect(stdout).toBe(argv.map((arg) => `<${arg}>`).join(''));
});
