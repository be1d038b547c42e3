/**
 * The agent's local API, version 1: HTTP over the unix socket `/run/coat/agent.sock`. `docker coat` uses only this.
 *
 * Its shapes are in `api/`, its paths in `local/routes.ts`; the OpenAPI document is made of both. docs/api.md shows its use.
 */
export * from './api/cluster.ts';
export * from './api/host.ts';
export * from './api/migration.ts';
export * from './api/network.ts';
