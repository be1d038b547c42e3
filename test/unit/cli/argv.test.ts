import { describe, expect, test } from 'vitest';
import { understand } from '../../../plugin/cli/argv.ts';

const none = { hosts: [], debug: false, help: false };

describe('what docker hands over', () => {
  test.each([
    // words after `docker`, what the plugin is to do
    ['coat', [], {}],
    ['coat ls', ['ls'], {}],
    ['coat --help', ['--help'], {}],
    ['coat migrate web beta --keep', ['migrate', 'web', 'beta', '--keep'], {}],
    ['help coat', ['help'], {}],
    ['help coat migrate', ['help', 'migrate'], {}],
    ['coat help migrate', ['help', 'migrate'], {}],
    ['--help coat ls', ['ls', '--help'], { help: true }],
    ['-h coat', ['--help'], { help: true }],
    ['--context edge coat ls', ['ls'], { context: 'edge' }],
    ['--context=edge coat ls', ['ls'], { context: 'edge' }],
    ['-c edge coat ls', ['ls'], { context: 'edge' }],
    ['-cedge coat ls', ['ls'], { context: 'edge' }],
    ['-H unix:///x coat ls -q', ['ls', '-q'], { hosts: ['unix:///x'] }],
    ['-Htcp://x:1 coat ls', ['ls'], { hosts: ['tcp://x:1'] }],
    ['-H=tcp://x:1 coat ls', ['ls'], { hosts: ['tcp://x:1'] }],
    ['--host=a --host b coat ls', ['ls'], { hosts: ['a', 'b'] }],
    ['-DH tcp://x coat ls', ['ls'], { debug: true, hosts: ['tcp://x'] }],
    ['-D=false coat ls', ['ls'], { debug: false }],
    ['--debug -l debug --tls --tlsverify=true --tlscacert a --tlscert=b --tlskey c --config /d coat ls', ['ls'], { debug: true, config: '/d' }],
    ['-D help coat ls', ['help', 'ls'], { debug: true }],
    // a value that looks like the name
    ['--context coat coat ls', ['ls'], { context: 'coat' }],
    ['-l info coat migrate coat beta', ['migrate', 'coat', 'beta'], {}],
    // after the name nothing belongs to docker
    ['coat -D ls', ['-D', 'ls'], {}],
    ['coat -- ls', ['--', 'ls'], {}],
    // started without docker
    ['ls', ['ls'], {}],
    ['', [], {}],
    ['--context', [], { context: '' }],
  ])('%s', (line, args, globals) => {
    const call = understand(line === '' ? [] : line.split(' '));
    expect(call).toEqual({ kind: 'run', args, globals: { ...none, ...globals } });
  });

  test('the question what it is', () => {
    expect(understand(['docker-cli-plugin-metadata'])).toEqual({ kind: 'metadata' });
  });

  test.each([
    [['__complete', 'coat', ''], true, [], ''],
    [['__complete', 'coat', 'mi'], true, [], 'mi'],
    [['__completeNoDesc', 'coat', 'migrate', 'web', 'b'], false, ['migrate', 'web'], 'b'],
    [['__complete', '--context', 'edge', 'coat', 'migrate', '--k'], true, ['migrate'], '--k'],
    [['__complete'], true, [], ''],
  ])('completion %j', (argv, describe, words, toComplete) => {
    expect(understand(argv)).toMatchObject({ kind: 'complete', describe, words, toComplete });
  });
});
