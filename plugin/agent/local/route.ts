import { z } from 'zod';
import { CoatError } from '../../../driver/host/errors.ts';
import type { NumberedEvent } from '../api.ts';

/** What was asked, checked against the route's shapes. */
export interface Asked<Body, Query, Params> {
  body: Body;
  query: Query;
  params: Params;
  /** Aborts when the client has gone. */
  signal: AbortSignal;
  /** The number after `Last-Event-ID`; 0 where there is none. */
  after: number;
}

/** One path of the local API: all that is done, checked and documented of it. */
export interface Route {
  method: 'get' | 'post';
  /** As OpenAPI writes it: `/v1/migrations/{id}`. */
  path: string;
  summary: string;
  body: z.ZodType | undefined;
  query: z.ZodObject | undefined;
  params: z.ZodObject | undefined;
  /** Of the answer where it is JSON; `events`: a stream of them, as server-sent events; `text`: for Prometheus. */
  answer: z.ZodType | 'events' | 'text';
  status: 200 | 201 | 202;
  act(asked: Asked<never, never, never>): unknown;
}

interface Wanted<B extends z.ZodType | undefined, Q extends z.ZodObject | undefined, P extends z.ZodObject | undefined> {
  body?: B;
  query?: Q;
  params?: P;
  status?: Route['status'];
}
type Of<T extends z.ZodType | undefined> = T extends z.ZodType ? z.infer<T> : undefined;

/** A route whose parts fit each other. */
export function route<A extends z.ZodType, B extends z.ZodType | undefined = undefined, Q extends z.ZodObject | undefined = undefined, P extends z.ZodObject | undefined = undefined>(
  method: Route['method'],
  path: string,
  summary: string,
  answer: A,
  act: (asked: Asked<Of<B>, Of<Q>, Of<P>>) => z.infer<A> | Promise<z.infer<A>>,
  { body, query, params, status = 200 }: Wanted<B, Q, P> = {},
): Route {
  return { method, path, summary, answer, act, body, query, params, status };
}

/** One that answers with a stream of events, from `Last-Event-ID` on. */
export function eventsRoute<P extends z.ZodObject>(path: string, summary: string, params: P, act: (asked: Asked<undefined, undefined, z.infer<P>>) => Promise<AsyncGenerator<NumberedEvent, void>>): Route {
  return { method: 'get', path, summary, answer: 'events', act, body: undefined, query: undefined, params, status: 200 };
}

export function textRoute(path: string, summary: string, act: () => Promise<string>): Route {
  return { method: 'get', path, summary, answer: 'text', act, body: undefined, query: undefined, params: undefined, status: 200 };
}

/** @throws CoatError `bad-request` that names what is wrong */
export function checked(shape: z.ZodType | undefined, value: unknown): unknown {
  if (shape === undefined) return undefined;
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  throw new CoatError('bad-request', z.prettifyError(result.error).replaceAll('\n', ' '), { hint: 'GET /v1/openapi.json describes what can be asked' });
}

/** As express writes a path. */
export const expressPath = (path: string): string => path.replace(/\{(\w+)\}/g, ':$1');
