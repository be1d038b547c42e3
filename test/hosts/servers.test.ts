import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { h1, h2, h3, IMAGE, PATIENCE_MS } from '../support/hosts.ts';
import { mayReadLimits } from '../support/machine.ts';
import { scene, type Scene, WORKLOAD } from '../support/scene.ts';
import { Talk } from '../support/talk.ts';

/** A program in a container on h3 that a test speaks to. */
function talk(scene: Scene, word: string, command: readonly string[], options: readonly string[] = WORKLOAD): Talk {
  const argv = ['docker', 'run', '--interactive', '--name', scene.name(word), '--network', 'shop', ...options, IMAGE, ...command];
  return new Talk(h3, argv);
}

test('Redis keeps those who wait for it: a blocked BLPOP and a SUBSCRIBE', scene(async (scene) => {
  const redis = await scene.run(h1, 'redis', ['redis-server', '--protected-mode', 'no', '--save', '']);
  await until('redis', async () => (await redis.exec('redis-cli', 'ping')) === 'PONG', { timeout: PATIENCE_MS });
  await redis.exec('redis-cli', 'set', 'greeting', 'hello');
  const waiter = talk(scene, 'blpop', ['python3', '/w/talk.py', redis.ip, '6379']);
  const listener = talk(scene, 'subscribe', ['python3', '/w/talk.py', redis.ip, '6379']);
  waiter.say('BLPOP jobs 0');
  listener.say('SUBSCRIBE news');
  await listener.hears(/subscribe\r\n\$4\r\nnews\r\n:1\r\n/);
  await until('the blocked client', async () => (await redis.exec('redis-cli', 'info', 'clients')).includes('blocked_clients:1'), { timeout: PATIENCE_MS });

  await redis.moveTo(h2);
  expect(await redis.exec('redis-cli', 'rpush', 'jobs', 'first')).toBe('1');
  expect(await redis.exec('redis-cli', 'publish', 'news', 'moved')).toBe('1');
  await waiter.hears(/^\*2\r\n\$4\r\njobs\r\n\$5\r\nfirst\r\n/);
  await listener.hears(/message\r\n\$4\r\nnews\r\n\$5\r\nmoved\r\n/);

  await redis.moveTo(h1);
  waiter.say('GET greeting');
  await waiter.hears(/^\$5\r\nhello\r\n/);
  for (const client of [waiter, listener]) {
    client.say('QUIT');
    expect((await client.end()).code).toBe(0);
  }
}));

test.each([['towards', []], ['from', ['--reverse']]])('a stream of data %s a server that moves is not interrupted', async (_, direction) =>
  scene(async (scene) => {
    const server = await scene.run(h1, 'iperf', ['iperf3', '--server', '--one-off', '--forceflush']);
    await server.says(/Server listening/);
    const client = talk(scene, 'stream', ['iperf3', '--client', server.ip, '--time', '8', '--json', ...direction], []);
    // it prints only at its end
    await until('the stream to begin', async () => /ESTAB .*:5201(.*\n)*.*ESTAB .*:5201/.test(await sockets(server.name)), { timeout: PATIENCE_MS });
    await server.moveTo(h2);
    await server.moveTo(h1);
    const { code, stdout } = await client.end();
    const result = JSON.parse(stdout) as { error?: string; end: { sum_received: { bytes: number; seconds: number } } };
    expect({ code, error: result.error }).toEqual({ code: 0, error: undefined });
    expect(result.end.sum_received.bytes).toBeGreaterThan(50_000_000);
  })(),
);

/** TCP connections of a container on h1, as ss(8) lists them. */
async function sockets(container: string): Promise<string> {
  const pid = (await h1.exec(['docker', 'inspect', '--format', '{{.State.Pid}}', container])).stdout.trim();
  return (await h1.exec(['nsenter', `--net=/proc/${pid}/ns/net`, 'ss', '--tcp', '--numeric', '--no-header'])).stdout;
}

const INITDB = 'initdb --pgdata /tmp/data --auth trust > /dev/null';
const POSTGRES = 'postgres -D /tmp/data -c "listen_addresses=*" -c unix_socket_directories=/tmp';
const TRUST = 'echo "host all all all trust" >> /tmp/data/pg_hba.conf';

/**
 * How PostgreSQL is started. It refuses to be root; where CRIU may not read the limits of another user's processes
 * (refusals.test.ts has what is said then), uid_wrapper(1) lets it be root and believe that it is not.
 */
const postgres = (await mayReadLimits(h1))
  ? { script: `${INITDB} && ${TRUST} && exec ${POSTGRES}`, options: ['--user', 'postgres'] }
  : {
      script: [
        `install -d -o postgres /tmp/data && setpriv --reuid postgres --regid postgres --clear-groups ${INITDB} && ${TRUST}`,
        `UID=$(id -u postgres); LD_PRELOAD=libuid_wrapper.so UID_WRAPPER=1 UID_WRAPPER_INITIAL_RUID=$UID UID_WRAPPER_INITIAL_EUID=$UID exec ${POSTGRES}`,
      ].join(' && '),
      options: [],
    };

test('PostgreSQL, which is many processes, keeps a transaction open', scene(async (scene) => {
  const server = await scene.run(h1, 'postgres', ['sh', '-c', postgres.script], [...postgres.options, '--env', 'PGHOST=/tmp', '--env', 'PGUSER=postgres']);
  await until('PostgreSQL', async () => (await server.exec('psql', '-tAc', 'select 1')) === '1', { timeout: 2 * PATIENCE_MS });
  const client = talk(scene, 'psql', ['psql', '--host', server.ip, '--username', 'postgres', '--no-psqlrc', '--tuples-only', '--no-align', '--set', 'ON_ERROR_STOP=1']);
  client.say('create table jobs (id serial primary key, name text);');
  client.say('begin; insert into jobs (name) values (\'before\'); select \'pid \' || pg_backend_pid(), txid_current();');
  const transaction = await client.hears(/^pid \d+\|\d+$/m);
  // nobody else sees it yet
  expect(await server.exec('psql', '-tAc', 'select count(*) from jobs')).toBe('0');

  await server.moveTo(h2);
  client.say('insert into jobs (name) values (\'after\'); select \'pid \' || pg_backend_pid(), txid_current();');
  expect(await client.hears(/^pid \d+\|\d+$/m)).toBe(transaction);
  expect(await server.exec('psql', '-tAc', 'select count(*) from jobs')).toBe('0');
  client.say('commit; select \'names \' || string_agg(name, \',\' order by id) from jobs;');
  await client.hears(/^names before,after$/m);

  await server.moveTo(h1);
  expect(await server.exec('psql', '-tAc', 'select count(*) from jobs')).toBe('2');
  // a new connection, and so a new process, and what the server writes down
  await server.exec('psql', '-c', 'checkpoint');
  client.say('\\q');
  expect((await client.end()).code).toBe(0);
}));

test('a server of many processes keeps what each of them has put aside', scene(async (scene) => {
  const server = await scene.run(h1, 'prefork', ['python3', '/w/prefork.py'], WORKLOAD);
  await server.says('ready');
  const [one, other] = ['one', 'other'].map((word) => talk(scene, word, ['python3', '/w/talk.py', server.ip, '7000'])) as [Talk, Talk];
  one.say('add 5');
  const pid = (await one.hears(/^\d+ 5 0\n/)).split(' ')[0]!;
  other.say('add 30');
  await other.hears(/^\d+ 30 0\n/);
  await server.moveTo(h2);
  one.say('add 2');
  await one.hears(new RegExp(`^${pid} 7 0\n`));
  one.say('commit');
  await one.hears(new RegExp(`^${pid} 0 7\n`));
  await server.moveTo(h1);
  other.say('commit');
  await other.hears(/^\d+ 0 37\n/);
}));
