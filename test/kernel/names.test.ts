import { rm, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silent } from '../../driver/host/log.ts';
import { until } from '../../driver/host/until.ts';
import { openQuestions } from '../../driver/kernel/question.ts';
import { Directory } from '../../driver/names/directory.ts';
import { Responder } from '../../driver/names/responder.ts';
import { Responders, type Asker } from '../../driver/names/responders.ts';
import type { Claim } from '../../driver/overlay/records.ts';
import { Netns } from '../support/netns.ts';

/** In place of Docker's resolver: answers every datagram that has a question with its own bytes and one flag. */
const DOCKER = `
const s = require('dgram').createSocket('udp4');
s.on('message', (m, from) => { m[2] |= 0x80; s.send(m, from.port, from.address); }).bind(53, '127.0.0.11', () => console.log('ready'));`;

/**
 * Sends datagrams to Docker's address, each from a socket of its own, as resolvers do. Arguments: in hex. Prints what comes
 * back to each: an id and how many answers.
 */
const ASK = `
const all = process.argv.slice(1).map((hex) => new Promise((done) => {
  const s = require('dgram').createSocket('udp4');
  s.on('message', (m) => done([m.readUInt16BE(0), m.readUInt16BE(6)])).on('error', () => done(null));
  setTimeout(() => done(null), 1000);
  s.send(Buffer.from(hex, 'hex'), 53, '127.0.0.11');
}));
Promise.all(all).then((found) => { console.log(JSON.stringify(found)); process.exit(); });`;

const hex = (id: number, name: string): string =>
  Buffer.concat([Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.length]), Buffer.from(name), Buffer.from([0, 0, 1, 0, 1])]).toString('hex');

const KEY = '10.42.0.0-24';
const claim: Claim = { network: KEY, ip: '10.42.0.2', host: 'a', epoch: 1, names: ['web'] };
const directory = new Directory({ networks: new Map(), claims: new Map([[`${KEY}/10.42.0.2`, claim]]) });

let container: Netns;
let askers: Asker[];
let responders: Responders;

beforeEach(async () => {
  container = await Netns.create('c');
  await container.start(DOCKER);
  askers = [{ netns: ['/nowhere', container.path], network: KEY }];
  responders = new Responders({ askers: () => askers, directory, log: silent });
});
afterEach(async () => {
  await responders.stop();
  await container[Symbol.asyncDispose]();
});

type Found = [id: number, answers: number] | null;
const ask = (...questions: string[]): Promise<Found[]> => container.eval<Found[]>(ASK, ...questions);
const OURS = [7, 1];
const DOCKERS = [7, 0];
const becomes = (wanted: typeof OURS): Promise<unknown> => until(`the answer to be ${wanted.join()}`, async () => String((await ask(hex(7, 'web')))[0]) === wanted.join());

it('answers what it knows, and Docker the rest, each to who asked', async () => {
  expect(await ask(hex(7, 'web'))).toEqual([DOCKERS]);
  responders.start();
  await becomes(OURS);
  const others = Array.from({ length: 20 }, (_, n) => [1000 + n, 0]);
  expect(await ask(...others.map(([id]) => hex(id!, `other${id}`)), hex(7, 'web'))).toEqual([...others, OURS]);
  // two with the same id at once
  expect(await ask(hex(9, 'one'), hex(9, 'two'))).toEqual([[9, 0], [9, 0]]);
});

it('goes on after garbage', async () => {
  responders.start();
  await becomes(OURS);
  await ask('', '00', '0007010000010000', '000701000001000000000000c00c00010001', 'ff'.repeat(600));
  expect(await ask(hex(7, 'web'))).toEqual([OURS]);
});

it('leaves everything to Docker at once when it ends, and begins again', async () => {
  responders.start();
  await becomes(OURS);
  await responders.stop();
  expect(await ask(hex(7, 'web'))).toEqual([DOCKERS]);
  responders.start();
  await becomes(OURS);
});

it('leaves everything to Docker soon after the last beat', async () => {
  const responder = new Responder(await openQuestions(container.path), directory.of(() => [KEY]));
  try {
    expect(await ask(hex(7, 'web'))).toEqual([DOCKERS]);
    responder.beat();
    await becomes(OURS);
    await becomes(DOCKERS);
    responder.beat();
    await becomes(OURS);
  } finally {
    await responder.close();
  }
});

it('lets go of a namespace whose container is gone', async () => {
  responders.start();
  await becomes(OURS);
  askers = [];
  responders.changed();
  await until('the socket to be closed', async () => !(await container.run('ss', '-Hlun')).includes('127.0.0.12:4753'));
  expect(await ask(hex(7, 'web'))).toEqual([DOCKERS]);
});

it('finds a namespace that is made after it was told of it, and has one responder under two names', async () => {
  const directoryOf = await mkdtemp(join(tmpdir(), 'coat-t-names-'));
  try {
    const alias = await Netns.alias(container.path);
    askers = [{ netns: [join(directoryOf, 'later')], network: KEY }];
    responders.start();
    expect(await ask(hex(7, 'web'))).toEqual([DOCKERS]);
    askers = [{ netns: [alias.path], network: 'other' }, { netns: [container.path], network: KEY }];
    await becomes(OURS);
    expect((await container.run('ss', '-Hlun')).split('127.0.0.12:4753')).toHaveLength(2);
    await alias[Symbol.asyncDispose]();
  } finally {
    await rm(directoryOf, { recursive: true, force: true });
  }
});
