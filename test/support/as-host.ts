import { readFile } from 'node:fs/promises';
import { CoatError, explain } from '../../driver/host/errors.ts';
import { certificates } from '../../plugin/agent/cluster/proof.ts';
import type { Identity } from '../../plugin/agent/cluster/identity.ts';
import { EtcdClient } from '../../plugin/agent/etcd/client.ts';
import { CLIENTS } from '../../plugin/agent/etcd/own.ts';
import { PeerClient } from '../../plugin/agent/peers/client.ts';
import type { Member } from '../../plugin/agent/membership.ts';

/** What a host's root can do without its agent: ask etcd through another host's port, with the certificate that is its own. */
export interface Questions {
  /** Path of the identity, as this process sees it. */
  identity: string;
  keeper: Member;
  port: number;
  /** Calls of etcd's gateway. */
  calls: [path: string, body: unknown][];
}

/** To each question the answer, or why there is none. */
export type Answers = ({ answer: unknown } | { refused: string; code: string })[];

// a program of its own, since it has to be in the host's network namespace
const { identity: file, keeper, port, calls } = JSON.parse(process.argv[2]!) as Questions;
const identity = JSON.parse(await readFile(file, 'utf8')) as Identity;
const peer = new PeerClient(keeper, port, certificates(() => identity, () => keeper));
const etcd = new EtcdClient(() => peer.tunnel(CLIENTS));
const answers: Answers = [];
for (const [path, body] of calls) {
  answers.push(await etcd.post(path, body).then((answer) => ({ answer }), (error: unknown) => ({ refused: explain(error), code: error instanceof CoatError ? error.code : '' })));
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
