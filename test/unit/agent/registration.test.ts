import { describe, expect, it } from 'vitest';
import { namingRuntimes, settingsFile, withoutRuntime, withRuntime } from '../../../plugin/agent/registration.ts';

const PROGRAM = '/var/lib/coat/bin/coat-runc';
const code = (code: string): unknown => expect.objectContaining({ code });

describe('the runtime in daemon.json', () => {
  it.each([undefined, '', '{}', '{"runtimes":{}}'])('into %j', (text) => {
    expect(JSON.parse(withRuntime(text, PROGRAM))).toEqual({ runtimes: { coat: { path: PROGRAM } } });
  });

  it('keeps everything else, and its indentation', () => {
    const text = '{\n\t"dns": ["10.0.0.1"],\n\t"runtimes": {\n\t\t"nvidia": {"path": "nvidia-container-runtime"}\n\t}\n}\n';
    const after = withRuntime(text, PROGRAM);
    expect(JSON.parse(after)).toEqual({ dns: ['10.0.0.1'], runtimes: { nvidia: { path: 'nvidia-container-runtime' }, coat: { path: PROGRAM } } });
    expect(after).toMatch(/^\{\n\t"dns"/);
  });

  it('leaves a file alone that has it, to the byte', () => {
    const text = `{"runtimes":   {"coat":{"path":"${PROGRAM}"}}}`;
    expect(withRuntime(text, PROGRAM)).toBe(text);
  });

  it.each(['{"runtimes":', '[]', '"x"', '{"runtimes":[]}', '{"runtimes":{"coat":{"path":"/usr/bin/other"}}}', '{"runtimes":{"coat":{}}}'])('refuses %j', (text) => {
    expect(() => withRuntime(text, PROGRAM)).toThrow(code('daemon-json'));
  });
});

describe('taken back', () => {
  it.each([undefined, '{ "dns":["10.0.0.1"] }', '{"runtimes":{}}'])('%j is as it was, to the byte', (before) => {
    const after = withRuntime(before, PROGRAM);
    expect(withoutRuntime(after, PROGRAM, { before, after })).toBe(before);
  });

  it('what others changed since stays', () => {
    const before = '{"dns":["10.0.0.1"]}';
    const after = withRuntime(before, PROGRAM);
    const changed = JSON.stringify({ ...(JSON.parse(after) as object), debug: true });
    expect(JSON.parse(withoutRuntime(changed, PROGRAM, { before, after })!)).toEqual({ dns: ['10.0.0.1'], debug: true });
  });

  it('without a memory of it, only the entry goes', () => {
    const text = JSON.stringify({ runtimes: { coat: { path: PROGRAM }, other: { path: '/x' } } });
    expect(JSON.parse(withoutRuntime(text, PROGRAM)!)).toEqual({ runtimes: { other: { path: '/x' } } });
  });

  it.each([undefined, '{"dns":[]}', '{"runtimes":{"coat":{"path":"/another"}}}'])('%j has nothing of ours', (text) => {
    expect(withoutRuntime(text, PROGRAM)).toBe(text);
  });

  it('names runtimes on the way, or the engine would keep them', () => {
    expect(JSON.parse(namingRuntimes(undefined))).toEqual({ runtimes: {} });
    expect(JSON.parse(namingRuntimes('{"debug":true}'))).toEqual({ debug: true, runtimes: {} });
    expect(namingRuntimes('{"runtimes":{"other":{}}}')).toBe('{"runtimes":{"other":{}}}');
  });
});

describe("the engine's settings file", () => {
  it.each([
    [['dockerd'], '/etc/docker/daemon.json'],
    [['dockerd', '--config-file', '/srv/d.json', '-H', 'fd://'], '/srv/d.json'],
    [['dockerd', '--config-file=/srv/d.json'], '/srv/d.json'],
  ])('%j', (argv, file) => {
    expect(settingsFile(argv)).toBe(file);
  });

  it.each([[['dockerd', '--add-runtime', 'x=/y']], [['dockerd', '--add-runtime=x=/y']]])('refuses %j', (argv) => {
    expect(() => settingsFile(argv)).toThrow(code('daemon-flags'));
  });
});
