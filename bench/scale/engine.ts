import { createServer, type Server } from 'node:http';

/** As much of the Engine API as the agent's network half asks: one network with one container, and events that never come. */
export async function startEngine(socket: string, network: { id: string; name: string; subnet: string }, endpoint: { id: string; address: string }): Promise<Server> {
  const container = { Name: 'server', EndpointID: endpoint.id, IPv4Address: endpoint.address };
  const described = { Id: network.id, Name: network.name, Driver: 'coat', IPAM: { Config: [{ Subnet: network.subnet }] }, Containers: { c0: container } };
  const inspected = { Config: { Labels: {} }, NetworkSettings: { Networks: { [network.name]: { NetworkID: network.id, Aliases: null, DNSNames: ['server'] } } } };
  const server = createServer(({ url = '' }, response) => {
    const path = url.replace(/^\/v[\d.]+/, '').split('?')[0]!;
    if (path === '/networks') response.end(JSON.stringify([described]));
    else if (path === `/networks/${network.id}`) response.end(JSON.stringify(described));
    else if (path === '/containers/c0/json') response.end(JSON.stringify(inspected));
    else if (path === '/events') response.writeHead(200).flushHeaders();
    else response.writeHead(404).end(JSON.stringify({ message: `nothing at ${path}` }));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return server;
}
