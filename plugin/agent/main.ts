import type { Server } from 'node:http';
import { explain } from '../../driver/host/errors.ts';
import { createLog, type Log } from '../../driver/host/log.ts';
import { createHostSide } from '../criu/host.ts';
import { engineVersion, refusedEngine } from '../engine/process.ts';
import { installCriu } from './carried.ts';
import { Life } from './cluster/life.ts';
import { type Paths, pathsUnder } from './paths.ts';
import { installRuntime } from './runtime.ts';
import { readBasics } from './settings.ts';
import { closeNow, groupId, serveUnix } from './sockets.ts';
import { VERSION } from './version.ts';

/** Docker kills a plugin 10 s after it asked it to end. */
const STOP_MS = 8_000;
/**
 * Docker disables a plugin that ends before its socket was found, for which it looks after half a second and then every three (moby
 * plugin/manager_linux.go, pluginPostStart).
 */
const OF_AGE_MS = 7_000;

/**
 * The plugin's process. The sockets come first: dockerd gives up on a plugin whose socket is not there
 * within about 12 s, whatever the reason, and keeps it disabled until somebody enables it.
 */
async function main(): Promise<void> {
  const basics = readBasics(process.env);
  const log = createLog('coat', basics.logLevel);
  const paths = pathsUnder(basics.hostRoot);
  endOnErrors(log);

  const life = new Life({ env: process.env, paths, prepare: () => prepare(paths, log), log });
  const servers = [await serveUnix(paths.pluginSocket, life.driver.listener), await serveUnix(paths.aliasSocket, life.driver.listener)];
  log.info({ version: VERSION }, 'the agent starts');

  await life.start();
  servers.push(await serveUnix(paths.agentSocket, life.local.listener, { mode: 0o660, group: await groupId(paths.groups, 'docker') }));
  endOnSignals(life, servers, log);
  log.info('the agent is ready');
}

/** What every agent needs, in a cluster or not. @throws CoatError where the engine is too old */
async function prepare(paths: Paths, log: Log): Promise<void> {
  const old = await engineVersion(createHostSide(paths.hostRoot)).then(refusedEngine, (error: unknown) => void log.warn({ error: explain(error) }, 'the version of the engine is not known'));
  if (old) throw old;
  await Promise.all([installRuntime(paths, log), installCriu(paths, log)]);
}

/**
 * What nobody caught is a defect: Docker starts the process again, and everything is looked at anew. One that had hardly begun goes on until it is
 * {@link OF_AGE_MS} old, as Docker would leave the host without a plugin until a person came.
 */
function endOnErrors(log: Log): void {
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'the agent ends because of an error nobody foresaw');
    setTimeout(() => process.exit(1), Math.max(0, OF_AGE_MS - process.uptime() * 1000));
  });
}

/** In order and in time; kernel objects stay and go on forwarding. */
function endOnSignals(life: Life, servers: Server[], log: Log): void {
  const end = async (signal: string): Promise<void> => {
    setTimeout(() => process.exit(1), STOP_MS).unref();
    log.info({ signal }, 'the agent ends');
    await Promise.all(servers.map(closeNow));
    await life.stop();
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void end(signal));
}

main().catch((error: unknown) => {
  // as for every other error nobody foresaw
  process.nextTick(() => {
    throw error;
  });
});
