import type { Server } from 'node:http';
import { CoatError, explain } from '../../driver/host/errors.ts';
import { createLog, type Log } from '../../driver/host/log.ts';
import { createHostSide } from '../criu/host.ts';
import { connectEngine } from '../engine/connection.ts';
import { engineVersion, refusedEngine } from '../engine/process.ts';
import { type Agent, startAgent } from './agent.ts';
import { installCriu } from './carried.ts';
import { installationDoors } from './installation.ts';
import { localApp } from './local/app.ts';
import { type Paths, pathsUnder } from './paths.ts';
import { PendingHandler } from './pending.ts';
import { refusing } from './refusal.ts';
import { installRuntime } from './runtime.ts';
import { readBasics, readSettings } from './settings.ts';
import { closeNow, groupId, serveUnix } from './sockets.ts';
import { VERSION } from './version.ts';

/** Docker kills a plugin 10 s after it asked it to end. */
const STOP_MS = 8_000;

/**
 * The plugin's process. The sockets come first: dockerd gives up on a plugin whose socket is not there
 * within about 12 s, whatever the reason, and keeps it disabled until somebody enables it.
 */
async function main(): Promise<void> {
  const basics = readBasics(process.env);
  const log = createLog('coat', basics.logLevel);
  const paths = pathsUnder(basics.hostRoot);
  endOnErrors(log);

  const driver = new PendingHandler();
  const servers = [await serveUnix(paths.pluginSocket, driver.listener), await serveUnix(paths.aliasSocket, driver.listener)];
  log.info({ version: VERSION }, 'the agent starts');

  const agent = await start(paths, log);
  driver.give(agent.driver);
  servers.push(await serveUnix(paths.agentSocket, agent.local, { mode: 0o660, group: await groupId(paths.groups, 'docker') }));
  endOnSignals(agent, servers, log);
  log.info('the agent is ready');
}

async function start(paths: Paths, log: Log): Promise<Agent> {
  try {
    const old = await engineVersion(createHostSide(paths.hostRoot)).then(refusedEngine, (error: unknown) => void log.warn({ error: explain(error) }, 'the version of the engine is not known'));
    if (old) throw old;
    await Promise.all([installRuntime(paths, log), installCriu(paths, log)]);
    const settings = readSettings(process.env);
    if (settings === undefined) {
      throw new CoatError('not-configured', 'coat is not configured on this host', {
        hint: 'docker plugin disable, docker plugin set COAT_HOST=… COAT_HOSTS=… COAT_SECRET=…, docker plugin enable',
      });
    }
    return await startAgent(settings, paths, log);
  } catch (error) {
    // with a mistake in its settings an agent serves its explanation; anything else is a defect and ends it
    if (!(error instanceof CoatError)) throw error;
    log.error({ code: error.code, hint: error.hint }, error.message);
    return refusingAgent(error, paths, log);
  }
}

function refusingAgent(error: CoatError, paths: Paths, log: Log): Agent {
  const refuse = (): never => {
    throw error;
  };
  return {
    driver: refusing(error),
    local: localApp({
      version: () => ({ version: VERSION, api: 1, host: '' }),
      status: refuse,
      endpoints: refuse,
      migrate: refuse,
      ...installationDoors({ host: createHostSide(paths.hostRoot), docker: connectEngine(paths.dockerSocket), paths, log }),
      log,
    }),
    stop: async () => undefined,
  };
}

/** What nobody caught is a defect: Docker starts the process again, and everything is looked at anew. */
function endOnErrors(log: Log): void {
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'the agent ends because of an error nobody foresaw');
    process.exit(1);
  });
}

/** In order and in time; kernel objects stay and go on forwarding. */
function endOnSignals(agent: Agent, servers: Server[], log: Log): void {
  const end = async (signal: string): Promise<void> => {
    setTimeout(() => process.exit(1), STOP_MS).unref();
    log.info({ signal }, 'the agent ends');
    await Promise.all(servers.map(closeNow));
    await agent.stop();
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
