/** Echoes every datagram that comes to UDP port 7. */
export const ECHO = `
const s = require('dgram').createSocket('udp4');
s.on('message', (m, from) => s.send(m, from.port, from.address)).bind(7, () => console.log('ready'));`;

/** Arguments: address, how many, ms between, ms to wait at the end. Prints the numbers that came back, in order. */
export const PING = `
const [to, count, every, wait] = process.argv.slice(1);
const s = require('dgram').createSocket('udp4'), got = [];
s.on('message', (m) => got.push(Number(m)));
s.on('error', () => {});
let sent = 0;
const next = () => { if (sent < count) { s.send(String(sent++), 7, to, () => {}); setTimeout(next, every); } else setTimeout(() => { console.log(JSON.stringify(got)); process.exit(); }, wait); };
next();`;

/** Records the numbers that come to UDP port 7, and prints them when asked on UDP port 8. */
export const RECORD = `
const d = require('dgram'), got = [];
d.createSocket('udp4').on('message', (m) => got.push(Number(m))).bind(7);
const q = d.createSocket('udp4');
q.on('message', (m, from) => q.send(JSON.stringify(got), from.port, from.address)).bind(8, () => console.log('ready'));`;

/** Asks a {@link RECORD} in the same namespace. */
export const RECORDED = `
const s = require('dgram').createSocket('udp4');
s.on('message', (m) => { console.log(String(m)); process.exit(); });
s.send('?', 8, '127.0.0.1');`;
