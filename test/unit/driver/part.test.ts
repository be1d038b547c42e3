import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diff, reached } from '../../../driver/overlay/diff.ts';
import { part, settle, within } from '../../../driver/overlay/part.ts';
import { plan, type Attachment } from '../../../driver/overlay/plan.ts';
import type { Publications } from '../../../driver/publish/plan.ts';
import type { Claim, Host, Network } from '../../../driver/overlay/records.ts';
import type { State } from '../../../driver/overlay/state.ts';

const self = { host: 'a', address: '192.168.0.1', vxlanPort: 4798 };
const hosts = new Map<string, Host>(['a', 'b', 'c'].map((name, index) => [name, { name, address: `192.168.0.${index + 1}` }]));
const network = (third: number): Network => ({ key: `10.42.${third}.0-24`, subnet: `10.42.${third}.0/24`, gateway: `10.42.${third}.1`, vni: third + 1, mtu: 1450, options: {}, internal: false });
const networks = [network(0), network(1)];
/** This host has one endpoint, on the first network. */
/** A port of a container whose claim does not change: mapped on the second network, which has no endpoint here, and answered for on the first. */
const published: Publications = {
  mappings: [{ network: networks[1]!, owner: '10.42.1.0-24/10.42.1.9', ip: '10.42.1.9', port: { proto: 'tcp', port: 80, hostPort: 8080 } }],
  returns: [{ network: networks[0]!, ip: '10.42.0.2', proto: 'tcp', port: 80, to: [hosts.get('b')!] }],
};
const attachments: Attachment[] = [{ network: networks[0]!, ip: '10.42.0.2', mac: '02:42:0a:2a:00:02', link: '0123456789', cut: false, attached: true, accepting: false }];

/** What becomes of one address: MACs are few, so that two claims have the same one now and then. */
const step = fc.record({
  third: fc.constantFrom(0, 1),
  last: fc.integer({ min: 2, max: 5 }),
  claim: fc.option(fc.record({ host: fc.constantFrom('a', 'b', 'c', 'gone'), ip6: fc.boolean(), mac: fc.option(fc.constantFrom('02:42:0a:2a:00:02', '02:42:00:00:00:07', '02:42:00:00:00:08'), { nil: undefined }), redirect: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }) })),
});

/** Entries by their keys, whatever the order they came in. */
const sorted = (state: State): unknown => Object.values(state).map((map: Map<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1)));

describe('a part of the plan', () => {
  it('leads, change by change, to what a plan of everything would', () => {
    fc.assert(fc.property(fc.array(fc.array(step, { maxLength: 3 }), { maxLength: 12 }), (rounds) => {
      const claims = new Map<string, Claim>();
      const records = { hosts, claims };
      const first = plan(records, attachments, self, published).state;
      // its port is there
      let believed = reached(first, first);
      for (const round of rounds) {
        const before = new Map<string, Claim | undefined>();
        for (const { third, last, claim } of round) {
          const { key } = networks[third]!;
          const ip = `10.42.${third}.${last}`;
          if (!before.has(`${key}/${ip}`)) before.set(`${key}/${ip}`, claims.get(`${key}/${ip}`));
          if (claim) claims.set(`${key}/${ip}`, { network: key, ip, epoch: 1, host: claim.host, ...(claim.ip6 && { ip6: `fd00:${third}::${last}` }), ...(claim.mac && { mac: claim.mac }), ...(claim.redirect && { redirect: claim.redirect }) });
          else claims.delete(`${key}/${ip}`);
        }
        const whole = plan(records, attachments, self, published);
        const found = part(records, attachments, self, before, published);
        if (found) settle(believed, within(believed, found), found);
        else believed = reached(whole.state, believed);
        // of two claims with one MAC either may be the one that counts
        const macs = [...claims.values()].map(({ network: key, mac }) => mac && `${key} ${mac}`).filter(Boolean);
        if (new Set(macs).size === macs.length && !macs.includes(`${networks[0]!.key} ${attachments[0]!.mac}`)) expect(sorted(believed)).toEqual(sorted(whole.state));
        else believed = reached(whole.state, believed);
      }
    }), { numRuns: 200 });
  });

  it('is not possible where a MAC goes that another claim has', () => {
    const [one, other] = ['10.42.0.3', '10.42.0.4'].map((ip): Claim => ({ network: networks[0]!.key, ip, host: 'b', epoch: 1, mac: '02:42:00:00:00:07' }));
    const claims = new Map([[`${other!.network}/${other!.ip}`, other!]]);
    expect(part({ hosts, claims }, attachments, self, new Map([[`${one!.network}/${one!.ip}`, one!]]))).toBeUndefined();
  });

  it('is about what changed, and about nothing else', () => {
    const claims = new Map(Array.from({ length: 200 }, (_, index): [string, Claim] => {
      const ip = `10.42.0.${index + 3}`;
      return [`${networks[0]!.key}/${ip}`, { network: networks[0]!.key, ip, host: 'b', epoch: 1, mac: `02:42:00:00:00:${(index + 16).toString(16)}` }];
    }));
    const key = `${networks[0]!.key}/10.42.0.9`;
    const before = new Map([[key, claims.get(key)]]);
    const all = plan({ hosts, claims }, attachments, self).state;
    claims.set(key, { ...claims.get(key)!, host: 'c' });
    const found = part({ hosts, claims }, attachments, self, before)!;
    const have = within(all, found);
    // its own endpoint's and that one's, and none for everybody
    expect([have.tunnels.size, have.forwards.size, have.neighbours.size]).toEqual([1, 2, 2]);
    expect(diff(found.plan.state, have)).toEqual([expect.objectContaining({ do: 'tunnel', entry: { dev: 'cx000001', mac: '02:42:00:00:00:16', dst: '192.168.0.3' } })]);
  });
});
