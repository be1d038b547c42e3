import type { Express } from 'express';
import { z } from 'zod';
import { LONGEST_TTL_MS } from '../cluster/tokens.ts';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Founder } from '../cluster/enter.ts';
import { External } from '../cluster/identity.ts';
import type { Entered, NewToken, StoreHosts } from '../api.ts';

/** What the local API does about the cluster. */
export interface ClusterDoors {
  init(wanted: Founder): Promise<Entered>;
  join(wanted: { token: string; name: string; address?: string | undefined }): Promise<Entered>;
  /** @param ttl ms */
  token(ttl: number): Promise<NewToken>;
  leave(force: boolean): Promise<void>;
  remove(host: string, force: boolean): Promise<void>;
  promote(host: string): Promise<StoreHosts>;
  demote(host: string): Promise<StoreHosts>;
}

const Host = { name: z.string().min(1), address: z.union([z.ipv4(), z.ipv6()]).optional() };
const Init = z.strictObject({ ...Host, store: External.optional() });
const Join = z.strictObject({ ...Host, token: z.string().min(1) });
/** From a second to a week. */
const Token = z.strictObject({ ttl: z.number().int().min(1_000).max(LONGEST_TTL_MS) });
const Leave = z.strictObject({ force: z.boolean() });
const Remove = z.strictObject({ host: z.string().min(1), force: z.boolean() });
const Named = z.strictObject({ host: z.string().min(1) });

/** Adds the paths under `/v1/cluster/`; see ../api.ts. */
export function clusterRoutes(app: Express, doors: ClusterDoors): void {
  const post = <T>(path: string, shape: z.ZodType<T>, act: (body: T) => Promise<unknown>): void => {
    app.post(`/v1/cluster/${path}`, async (request, response) => {
      const body = shape.safeParse(request.body ?? {});
      if (!body.success) throw new CoatError('bad-request', z.prettifyError(body.error).replaceAll('\n', ' '));
      response.json((await act(body.data)) ?? {});
    });
  };
  post('init', Init, (body) => doors.init(body));
  post('join', Join, (body) => doors.join(body));
  post('token', Token, ({ ttl }) => doors.token(ttl));
  post('leave', Leave, ({ force }) => doors.leave(force));
  post('promote', Named, ({ host }) => doors.promote(host));
  post('demote', Named, ({ host }) => doors.demote(host));
  post('remove', Remove, ({ host, force }) => doors.remove(host, force));
}
