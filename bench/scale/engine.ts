import { createServer, type Server } from 'node:http';

/** As much of the Engine API as the agent's network half asks: one network, no container, and events that never come. */
export async function startEngine(socket: string, network: { id: string; name: string; subnet: string }): Promise<Server> {
  const described = { Id: network.id, Name: network.name, Driver: 'coat', IPAM: { Config: [{ Subnet: network.subnet }] }, Containers: {} };
  const server = createServer(({ url = '' }, response) => {
    const path = url.replace(/^\/v[\d.]+/, '').split('?')[0]!;
    if (path === '/networks') response.end(JSON.stringify([described]));
    else if (path === `/networks/${network.id}`) response.end(JSON.stringify(described));
    else if (path === '/events') response.writeHead(200).flushHeaders();
    else response.writeHead(404).end(JSON.stringify({ message: `nothing at ${path}` }));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return server;
}
