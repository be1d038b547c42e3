import { z } from 'zod';

const host = { name: z.string().min(1), address: z.union([z.ipv4(), z.ipv6()]).optional() };
const Keeper = z.object({ urls: z.array(z.string()).min(1), ca: z.string().optional(), certificate: z.string().optional(), key: z.string().optional() });

export const Init = z.strictObject({ ...host, store: Keeper.optional().describe('an etcd that is there; PEM') }).meta({ id: 'Init' });
export const Join = z.strictObject({ ...host, token: z.string().min(1) }).meta({ id: 'Join' });
/** From a second to a week. */
export const TokenRequest = z.strictObject({ ttl: z.number().int().min(1_000).max(7 * 24 * 3600_000).describe('ms') }).meta({ id: 'TokenRequest' });
export const Leave = z.strictObject({ force: z.boolean() }).meta({ id: 'Leave' });
export const Remove = z.strictObject({ host: z.string().min(1), force: z.boolean() }).meta({ id: 'Remove' });
export const Named = z.strictObject({ host: z.string().min(1) }).meta({ id: 'Named' });

/** A host that has founded or joined a cluster. */
export const Entered = z.object({
  name: z.string(),
  address: z.string(),
  hosts: z.array(z.object({ name: z.string(), address: z.string() })).describe('all hosts of the cluster, this one included'),
}).meta({ id: 'Entered' });
export type Entered = z.infer<typeof Entered>;

/** Who keeps the store now. */
export const StoreHosts = z.object({ hosts: z.array(z.string()), advice: z.string().exactOptional().describe('why there should be more of them, or fewer') }).meta({ id: 'StoreHosts' });
export type StoreHosts = z.infer<typeof StoreHosts>;

export const NewToken = z.object({ token: z.string(), expires: z.number().describe('ms since 1970') }).meta({ id: 'NewToken' });
export type NewToken = z.infer<typeof NewToken>;
