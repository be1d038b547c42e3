import { randomBytes } from 'node:crypto';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Driver } from '../../driver/driver.ts';
import { Netns } from './netns.ts';
import type { Undo } from './undo.ts';

export interface TestContainer {
  netns: Netns;
  ip: string;
  /** Where its network has IPv6. */
  ip6: string | undefined;
  mac: string;
  endpoint: string;
}

/** A driver, which may be another one later, and the namespace it works in. */
interface Called {
  readonly driver: Driver;
  readonly netns: Netns;
}

/** Docker's half of the conversation, in the order a real engine has it (`docker run`, `docker stop`). */
export class TestEngine {
  readonly #host: Called;
  readonly #stack: Undo;

  constructor(host: Called, stack: Undo) {
    this.#host = host;
    this.#stack = stack;
  }

  /** One call over a real unix socket. Rejects with what Docker would show. */
  async call<T = Record<string, unknown>>(method: string, body: unknown = {}): Promise<T> {
    const { json } = await callPlugin(this.#host.driver, method, JSON.stringify(body));
    if (json.Err) throw new Error(json.Err as string);
    return json as T;
  }

  async createNetwork(subnet = '10.42.0.0/24', options: Record<string, unknown> = {}, subnet6?: string): Promise<string> {
    const id = randomBytes(32).toString('hex');
    const pool = async (wanted: string, V6: boolean): Promise<object> => {
      const { PoolID, Pool } = await this.call<{ PoolID: string; Pool: string }>('IpamDriver.RequestPool', { AddressSpace: 'coat', Pool: wanted, SubPool: '', Options: {}, V6 });
      const gateway = await this.call<{ Address: string }>('IpamDriver.RequestAddress', { PoolID, Address: '', Options: { RequestAddressType: 'com.docker.network.gateway' } });
      return { AddressSpace: 'coat', Gateway: gateway.Address, Pool };
    };
    const [IPv4Data, IPv6Data] = [[await pool(subnet, false)], subnet6 === undefined ? [] : [await pool(subnet6, true)]];
    await this.call('NetworkDriver.CreateNetwork', {
      NetworkID: id,
      Options: { 'com.docker.network.enable_ipv4': true, 'com.docker.network.generic': {}, ...options },
      IPv4Data,
      IPv6Data,
    });
    return id;
  }

  /** RequestAddress, CreateEndpoint, Join, and what libnetwork does with the interface. */
  async run(network: string, { subnet = '10.42.0.0/24', ip = '', subnet6, ip6 = '' }: { subnet?: string; ip?: string; subnet6?: string; ip6?: string } = {}): Promise<TestContainer> {
    const endpoint = randomBytes(32).toString('hex');
    const lease = async (pool: string, wish: string): Promise<string> => (await this.call<{ Address: string }>('IpamDriver.RequestAddress', { PoolID: `coat/${pool}`, Address: wish, Options: null })).Address;
    const Address = await lease(subnet, ip);
    const AddressIPv6 = subnet6 === undefined ? '' : await lease(subnet6, ip6);
    const created = await this.call<{ Interface: { MacAddress: string } }>('NetworkDriver.CreateEndpoint', {
      NetworkID: network, EndpointID: endpoint, Interface: { Address, AddressIPv6, MacAddress: '' }, Options: {},
    });
    const joined = await this.call<{ InterfaceName?: { SrcName: string }; Gateway?: string; GatewayIPv6?: string }>('NetworkDriver.Join', { NetworkID: network, EndpointID: endpoint, SandboxKey: '/var/run/docker/netns/x', Options: {} });
    const netns = this.#stack.use(await Netns.create('c'));
    const src = joined.InterfaceName!.SrcName;
    await this.#host.netns.run('ip', 'link', 'set', src, 'netns', netns.path);
    await netns.run('ip', 'link', 'set', src, 'name', 'eth0');
    await netns.run('ip', 'address', 'add', Address, 'dev', 'eth0');
    if (AddressIPv6 === '') await netns.kernel.run(['tee', '/proc/sys/net/ipv6/conf/eth0/disable_ipv6'], { input: '1', okCodes: [0, 1] });
    else await netns.run('ip', 'address', 'add', AddressIPv6, 'dev', 'eth0', 'nodad');
    await netns.run('ip', 'link', 'set', 'eth0', 'up');
    if (joined.Gateway) await netns.run('ip', 'route', 'add', 'default', 'via', joined.Gateway);
    if (joined.GatewayIPv6) await netns.run('ip', 'route', 'add', 'default', 'via', joined.GatewayIPv6);
    return { netns, ip: Address.split('/')[0]!, ip6: AddressIPv6.split('/')[0] || undefined, mac: created.Interface.MacAddress, endpoint };
  }

  async stop(network: string, { endpoint, ip }: { endpoint: string; ip: string }, subnet = '10.42.0.0/24'): Promise<void> {
    await this.call('NetworkDriver.Leave', { NetworkID: network, EndpointID: endpoint });
    await this.call('NetworkDriver.DeleteEndpoint', { NetworkID: network, EndpointID: endpoint });
    await this.call('IpamDriver.ReleaseAddress', { PoolID: `coat/${subnet}`, Address: ip });
  }
}

/** One request as dockerd sends it: over a unix socket, without a Content-Type. */
export async function callPlugin({ app }: Pick<Driver, 'app'>, method: string, body: string): Promise<{ status: number; json: Record<string, unknown> }> {
  const server = createServer(app as never);
  const socketPath = join(tmpdir(), `coat-t-${randomBytes(6).toString('hex')}.sock`);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  try {
    return await new Promise((resolve, reject) => {
      const headers = { Accept: 'application/vnd.docker.plugins.v1.2+json', 'Content-Length': Buffer.byteLength(body) };
      const call = request({ socketPath, path: `/${method}`, method: 'POST', headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) as Record<string, unknown> }));
      });
      // a body that is refused for its size is not read to its end
      call.on('socket', (socket) => socket.on('error', () => undefined));
      call.on('error', reject).end(body);
    });
  } finally {
    server.close();
  }
}
