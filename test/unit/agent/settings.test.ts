import { describe, expect, it } from 'vitest';
import { readBasics, readSettings } from '../../../plugin/agent/settings.ts';

const good = { COAT_HOST: 'h1', COAT_HOSTS: 'h1=10.0.0.1, h2=10.0.0.2', COAT_SECRET: '0123456789abcdef' };

describe('settings', () => {
  it('are read, with their defaults', () => {
    expect(readSettings(good)).toEqual({
      host: 'h1',
      hosts: [{ name: 'h1', address: '10.0.0.1' }, { name: 'h2', address: '10.0.0.2' }],
      secret: '0123456789abcdef',
      port: 7947,
      vxlanPort: 4798,
      pool: { range: { base: 0xffff0ad50000n, length: 16 }, length: 24 },
      hostRoot: '/proc/1/root',
      logLevel: 'info',
    });
    expect(readSettings({ ...good, COAT_METRICS_PORT: '9477' })).toMatchObject({ metricsPort: 9477 });
    expect(readSettings({ ...good, COAT_PORT: '1234', COAT_VXLAN_PORT: '8472' })).toMatchObject({ port: 1234, vxlanPort: 8472 });
  });

  it('may be missing altogether, as Docker gives them: empty', () => {
    expect(readSettings({})).toBeUndefined();
    expect(readSettings({ COAT_HOST: '', COAT_HOSTS: '', COAT_SECRET: '', COAT_PORT: '' })).toBeUndefined();
  });

  it.each([
    [{ COAT_HOST: '' }, /^COAT_HOST is missing/],
    [{ COAT_HOSTS: '' }, /^COAT_HOSTS is missing/],
    [{ COAT_SECRET: '' }, /^COAT_SECRET is missing/],
    [{ COAT_SECRET: 'short' }, /^COAT_SECRET must have at least 16 characters$/],
    [{ COAT_HOST: 'H 1' }, /^COAT_HOST must be a name/],
    [{ COAT_HOST: 'h3' }, /^COAT_HOSTS does not mention this host, h3$/],
    [{ COAT_HOSTS: 'h1=10.0.0.1,h2' }, /^COAT_HOSTS: "h2" is not of the form/],
    [{ COAT_HOSTS: 'h1=example.org' }, /^COAT_HOSTS: "h1=example.org" is not/],
    [{ COAT_HOSTS: 'h1=fe80::1' }, /^COAT_HOSTS: "h1=fe80::1" is not of the form name=IP address$/],
    [{ COAT_HOSTS: 'h1=10.0.0.1,h2=fd00::2' }, /^COAT_HOSTS: all hosts have IPv4 addresses here, or all have IPv6 addresses$/],
    [{ COAT_HOSTS: 'h1=fd00::1,h2=FD00:0::1' }, /^COAT_HOSTS: fd00::1 is there twice$/],
    [{ COAT_HOSTS: 'h1=10.0.0.1,h1=10.0.0.2' }, /^COAT_HOSTS: h1 is there twice$/],
    [{ COAT_HOSTS: 'h1=10.0.0.1,h2=10.0.0.1' }, /^COAT_HOSTS: 10.0.0.1 is there twice$/],
    [{ COAT_PORT: '70000' }, /^COAT_PORT must be between 1 and 65535$/],
    [{ COAT_POOL: '10.0.0.0' }, /^COAT_POOL: "10.0.0.0" is not a subnet$/],
    [{ COAT_POOL: '10.0.0.0/24,size=16' }, /^COAT_POOL: subnets of size 16 cannot be cut from 10.0.0.0\/24/],
    [{ COAT_METRICS_PORT: '0' }, /^COAT_METRICS_PORT must be between 1 and 65535$/],
    [{ COAT_PORT: 'x' }, /^COAT_PORT must be a number$/],
    [{ COAT_LOG_LEVEL: 'loud' }, /^COAT_LOG_LEVEL must be one of/],
    [{ COAT_SECRET: 'short', COAT_PORT: '0' }, /COAT_SECRET .*; COAT_PORT must be between/],
  ])('%j is said in a sentence', (wrong, sentence) => {
    expect(() => readSettings({ ...good, ...wrong })).toThrow(sentence);
  });

  it('never keep the agent from opening its sockets', () => {
    expect(readBasics({ COAT_LOG_LEVEL: 'loud', COAT_HOST_ROOT: 'relative' })).toEqual({ hostRoot: '/proc/1/root', logLevel: 'info' });
    expect(readBasics({ COAT_LOG_LEVEL: 'debug', COAT_HOST_ROOT: '/host' })).toEqual({ hostRoot: '/host', logLevel: 'debug' });
  });
});
