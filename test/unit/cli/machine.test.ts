import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkMachine, dockerHosts } from '../../../plugin/cli/machine.ts';
import { scratch } from './support.ts';

/** Docker's settings with the contexts `edge` (far) and `near`. */
function settings(currentContext?: string): string {
  const directory = scratch();
  writeFileSync(join(directory, 'config.json'), JSON.stringify({ currentContext }));
  for (const [name, host] of [['edge', 'ssh://u@edge'], ['near', 'unix:///run/other.sock']] as const) {
    const meta = join(directory, 'contexts/meta', createHash('sha256').update(name).digest('hex'));
    mkdirSync(meta, { recursive: true });
    writeFileSync(join(meta, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }));
  }
  return directory;
}

const plain = { hosts: [] as string[], debug: false, help: false };
const far = 'tcp://192.0.2.9:2376';

test.each([
  // global flags, environment, chosen context → where docker would go
  [{}, {}, undefined, ''],
  [{ hosts: [far] }, { DOCKER_HOST: 'unix:///x' }, 'edge', far],
  [{ context: 'edge' }, { DOCKER_HOST: 'unix:///x' }, undefined, 'ssh://u@edge'],
  [{ context: 'default' }, { DOCKER_HOST: far }, 'edge', far],
  [{}, { DOCKER_HOST: far, DOCKER_CONTEXT: 'near' }, 'near', far],
  [{}, { DOCKER_CONTEXT: 'edge' }, 'near', 'ssh://u@edge'],
  [{}, { DOCKER_CONTEXT: 'default' }, 'edge', ''],
  [{}, {}, 'edge', 'ssh://u@edge'],
  [{}, {}, 'near', 'unix:///run/other.sock'],
  [{}, { DOCKER_HOST: '' }, 'default', ''],
])('docker %j with %j and context %s goes to "%s"', (globals, env, chosen, host) => {
  expect(dockerHosts({ ...plain, ...globals }, { DOCKER_CONFIG: settings(chosen), ...env })).toEqual([host]);
});

test('--config comes before DOCKER_CONFIG', () => {
  expect(dockerHosts({ ...plain, config: settings('edge') }, { DOCKER_CONFIG: settings() })).toEqual(['ssh://u@edge']);
});

test.each(['', 'unix:///var/run/docker.sock', 'unix://'])('"%s" is this machine', (host) => {
  expect(() => checkMachine({ ...plain, hosts: [host] }, {})).not.toThrow();
});

test.each([far, 'ssh://u@h', 'http://x', 'somehost', 'tcp://127.0.0.1:2375'])('"%s" is refused', (host) => {
  expect(() => checkMachine({ ...plain, hosts: ['unix:///x', host] }, {})).toThrow(`docker is pointed at ${host}, but docker coat talks to the agent of this machine`);
});

test('a context that is not there', () => {
  expect(() => checkMachine({ ...plain, context: 'gone' }, { DOCKER_CONFIG: settings() })).toThrow('docker has no context "gone".');
});

test('settings that are no JSON choose nothing', () => {
  const directory = settings();
  writeFileSync(join(directory, 'config.json'), '{');
  expect(dockerHosts(plain, { DOCKER_CONFIG: directory })).toEqual(['']);
});
