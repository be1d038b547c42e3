import { isIP } from 'node:net';
import { z } from 'zod';
import { CoatError, explain } from '../../driver/host/errors.ts';
import { type AddressPool, DEFAULT_POOL, parseAddressPool } from '../../driver/ipam/choose.ts';
import { canonical, familyOf } from '../../driver/ipam/address.ts';
import { DEFAULT_VXLAN_PORT } from '../../driver/overlay/names.ts';
import type { Member } from './membership.ts';

/** TCP port on which agents talk to each other, the same on all hosts. */
export const DEFAULT_PORT = 7947;

/** Host names become record keys, TLS identities and file names. */
export const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What every agent knows, configured or not. */
export interface Basics {
  /** Where the host's file system is seen from the plugin: the root of process 1 (proc(5)). */
  hostRoot: string;
  logLevel: string;
}

/** What every cluster has settings for, the same on all hosts. */
export interface Common {
  /** TCP, between agents. */
  port: number;
  /** UDP, of the tunnels. */
  vxlanPort: number;
  /** Where the subnets come from that nobody names. */
  pool: AddressPool;
  /** TCP port of loopback on which the metrics are; absent where they are on the local socket only. */
  metricsPort?: number;
}

/** What an agent knows whose settings name the hosts of the cluster. */
export interface Settings extends Basics, Common {
  host: string;
  /** In the order given; the first one runs etcd. */
  hosts: Member[];
  secret: string;
}

const Port = (name: string) =>
  z
    .string()
    .regex(/^\d*$/, `${name} must be a number`)
    .transform(Number)
    .pipe(z.number().min(1, `${name} must be between 1 and 65535`).max(65535, `${name} must be between 1 and 65535`));

const BasicsShape = z.object({
  COAT_HOST_ROOT: z.string().regex(/^(\/.*)?$/, 'COAT_HOST_ROOT must be an absolute path').default(''),
  COAT_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent', ''], 'COAT_LOG_LEVEL must be one of trace, debug, info, warn, error, fatal').default(''),
});

const CommonShape = z.object({
  COAT_PORT: Port('COAT_PORT').default(DEFAULT_PORT),
  COAT_VXLAN_PORT: Port('COAT_VXLAN_PORT').default(DEFAULT_VXLAN_PORT),
  COAT_METRICS_PORT: Port('COAT_METRICS_PORT').optional(),
  COAT_POOL: z.string().default(DEFAULT_POOL).transform(parsePool),
});

const Shape = BasicsShape.extend({
  COAT_HOST: z.string('COAT_HOST is missing: the name of this host').regex(NAME, 'COAT_HOST must be a name of letters a-z, digits and dashes, such as h1'),
  COAT_HOSTS: z.string('COAT_HOSTS is missing: all hosts, such as h1=10.0.0.1,h2=10.0.0.2').transform(parseHosts),
  COAT_SECRET: z.string('COAT_SECRET is missing: the secret all hosts of the cluster share').min(16, 'COAT_SECRET must have at least 16 characters'),
  ...CommonShape.shape,
});

/**
 * Never fails, since the agent must open its sockets whatever its settings are: what is wrong here
 * takes its default, and {@link readSettings} complains.
 */
export function readBasics(env: NodeJS.ProcessEnv): Basics {
  const level = BasicsShape.shape.COAT_LOG_LEVEL.safeParse(env['COAT_LOG_LEVEL']);
  const root = BasicsShape.shape.COAT_HOST_ROOT.safeParse(env['COAT_HOST_ROOT']);
  return { hostRoot: (root.success && root.data) || '/proc/1/root', logLevel: (level.success && level.data) || 'info' };
}

/** Those alone, for a host whose cluster is not named by its settings. @throws CoatError `settings` */
export function readCommon(env: NodeJS.ProcessEnv): Common {
  const parsed = CommonShape.safeParse(given(env, CommonShape));
  if (!parsed.success) throw wrong(parsed.error.issues.map((issue) => issue.message));
  return commonOf(parsed.data);
}

/**
 * The settings from the environment, which Docker fills from `docker plugin set`.
 *
 * @returns `undefined` where they name no cluster: neither host nor hosts are given
 * @throws CoatError `settings` with one sentence for each mistake
 */
export function readSettings(env: NodeJS.ProcessEnv): Settings | undefined {
  if (!env['COAT_HOST'] && !env['COAT_HOSTS']) return undefined;
  const parsed = Shape.safeParse(given(env, Shape));
  if (!parsed.success) throw wrong(parsed.error.issues.map((issue) => issue.message));
  const value = parsed.data;
  if (!value.COAT_HOSTS.some(({ name }) => name === value.COAT_HOST)) {
    throw wrong([`COAT_HOSTS does not mention this host, ${value.COAT_HOST}`]);
  }
  return {
    ...readBasics(env),
    host: value.COAT_HOST,
    hosts: value.COAT_HOSTS,
    secret: value.COAT_SECRET,
    ...commonOf(value),
  };
}

function commonOf(value: z.output<typeof CommonShape>): Common {
  const metricsPort = value.COAT_METRICS_PORT;
  return { port: value.COAT_PORT, vxlanPort: value.COAT_VXLAN_PORT, pool: value.COAT_POOL, ...(metricsPort === undefined ? {} : { metricsPort }) };
}

/** What there is in the environment for a shape: Docker gives a setting that nobody has set as an empty one. */
function given(env: NodeJS.ProcessEnv, shape: z.ZodObject): Record<string, string> {
  return Object.fromEntries(Object.keys(shape.shape).flatMap((key) => (env[key] ? [[key, env[key]]] : [])));
}

function parsePool(text: string, context: z.RefinementCtx): AddressPool {
  try {
    return parseAddressPool(text);
  } catch (error) {
    context.addIssue(`COAT_POOL: ${explain(error)}`);
    return z.NEVER;
  }
}

/** Whether hosts can reach each other at an address: one that is valid on a single link needs that link's name, which differs. */
export const isUnderlay = (address: string): boolean => isIP(address) !== 0 && !/^fe[89ab]|%|^::ffff:/i.test(address);

/** @param text as in `h1=10.0.0.1,h2=10.0.0.2` */
function parseHosts(text: string, context: z.RefinementCtx): Member[] {
  const members = text.split(',').map((part) => {
    const [name = '', address = '', ...rest] = part.trim().split('=');
    const problem = rest.length > 0 || !NAME.test(name) || !isUnderlay(address);
    if (problem) context.addIssue(`COAT_HOSTS: "${part.trim()}" is not of the form name=IP address`);
    return { name, address: problem ? address : canonical(address) };
  });
  if (new Set(members.map(({ address }) => familyOf(address))).size > 1) context.addIssue('COAT_HOSTS: all hosts have IPv4 addresses here, or all have IPv6 addresses');
  for (const what of ['name', 'address'] as const) {
    const all = members.map((member) => member[what]);
    const twice = all.find((value, i) => all.indexOf(value) !== i);
    if (twice !== undefined) context.addIssue(`COAT_HOSTS: ${twice} is there twice`);
  }
  return members;
}

function wrong(sentences: string[]): CoatError {
  return new CoatError('settings', sentences.join('; '), {
    hint: 'docker plugin disable, docker plugin set COAT_HOST=… COAT_HOSTS=… COAT_SECRET=…, docker plugin enable',
  });
}
