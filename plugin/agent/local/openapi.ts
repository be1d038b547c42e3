import { z } from 'zod';
import { MigrationEvent, Problem } from '../api.ts';
import { CONTENT_TYPE } from '../metrics/serve.ts';
import { VERSION } from '../version.ts';
import type { Route } from './route.ts';

type Json = Record<string, unknown>;

/**
 * The local API as an OpenAPI document (3.1.1, whose schemas are JSON Schema 2020-12, which is what zod writes). Made of the same routes and shapes that the
 * agent answers with, so there is nothing to keep in step.
 */
export function openApi(routes: readonly Route[]): Json {
  const shapes = new Shapes();
  const paths: Record<string, Json> = {};
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method]: operation(route, shapes) };
  return {
    openapi: '3.1.1',
    info: { title: 'COAT agent', version: VERSION, description: 'The API of the agent of a host, over the unix socket /run/coat/agent.sock.' },
    servers: [{ url: 'http://localhost', description: 'the unix socket /run/coat/agent.sock' }],
    paths,
    components: { schemas: shapes.all },
  };
}

function operation({ method, path, summary, body, query, params, answer, status }: Route, shapes: Shapes): Json {
  const parameters = [...parametersOf('path', params, shapes), ...parametersOf('query', query, shapes)];
  if (answer === 'events') parameters.push({ name: 'Last-Event-ID', in: 'header', required: false, description: 'the id of the last event heard; those after it are sent', schema: { type: 'string' } });
  const problem = { description: 'It was not done, and why', content: { 'application/json': { schema: shapes.of(Problem) } } };
  return {
    operationId: operationId(method, path),
    summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: shapes.of(body) } } } }),
    responses: { [status]: answered(answer, shapes), ...(answer === 'events' ? { 204: { description: 'there are no more events after that one' } } : {}), default: problem },
  };
}

function answered(answer: Route['answer'], shapes: Shapes): Json {
  if (answer === 'text') return { description: 'as text', content: { [CONTENT_TYPE.split(';')[0]!]: { schema: { type: 'string' } } } };
  if (answer === 'events') return { description: 'each event has a growing id, its type, and as data a MigrationEvent', content: { 'text/event-stream': { schema: { type: 'string' }, 'x-event': shapes.of(MigrationEvent) } } };
  return { description: 'done', content: { 'application/json': { schema: shapes.of(answer) } } };
}

function parametersOf(where: 'path' | 'query', shape: z.ZodObject | undefined, shapes: Shapes): Json[] {
  if (shape === undefined) return [];
  const { properties = {}, required = [] } = shapes.of(shape) as { properties?: Record<string, Json>; required?: string[] };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({ name, in: where, required: required.includes(name), ...(description === undefined ? {} : { description }), schema }));
}

/** `getMigrationsIdEvents` */
function operationId(method: string, path: string): string {
  const words = path.replace(/^\/v1/, '').split(/[/{}]+/).filter(Boolean);
  return method + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
}

/** The shapes that have a name, each once. */
class Shapes {
  readonly all: Record<string, Json> = {};

  of(shape: z.ZodType): Json {
    // inside of another one, so that it is referred to by its name if it has one
    const { properties, $defs = {} } = z.toJSONSchema(z.object({ it: shape })) as unknown as { properties: { it: Json }; $defs?: Record<string, Json> };
    for (const [name, { id: _id, ...schema }] of Object.entries($defs)) this.all[name] = moved(schema) as Json;
    return moved(properties.it) as Json;
  }
}

/** The same with its references to where OpenAPI keeps schemas. */
function moved(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(moved);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, key === '$ref' ? String(inner).replace('#/$defs/', '#/components/schemas/') : moved(inner)]));
}
