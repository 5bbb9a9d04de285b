/** JSON-RPC `server.get` through the WebSocket of a real server, against a bare `ws` echo of as many bytes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { WebSocket } from 'ws';
import { compare, inFlight } from './support/measure.mjs';
import { ADMINISTRATOR, makeServerFolder, startServer } from './support/vault-server.mjs';

const WIDTH = 64;
const ECHO = fileURLToPath(new URL('support/echo-server.mjs', import.meta.url));

/** Answers come in order of the calls here: nothing but calls of one kind is in flight. */
async function connect(url) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, 'open');
  const waiting = [];
  socket.on('message', (data) => waiting.shift()?.(data));
  const next = () => new Promise((resolve) => waiting.push(resolve));
  const ask = (text) => {
    socket.send(text);
    return next();
  };
  return { ask, next, close: () => socket.terminate() };
}

const request = (id, method, params) => JSON.stringify({ jsonrpc: '2.0', id, method, params });

export async function run({ quick = false } = {}) {
  const { calls, rounds } = quick ? { calls: 300, rounds: 1 } : { calls: 10_000, rounds: 9 };
  const place = await makeServerFolder();
  const server = await startServer(place.config);
  let echo;
  try {
    const api = await connect(`${server.url.replace('http', 'ws')}/api/`);
    const call = async (method, params) =>
      JSON.parse(await api.ask(request(1, method, params))).result;
    await call('session.signIn', ADMINISTRATOR);
    const id = await call('server.add', {
      host: 'xen01.rack4.paris.example.org',
      username: 'root',
      password: 'correct horse battery staple, and then some more words',
      label: 'rack 4, pool master, second power supply',
    });
    // The server tells of the new record a while after; the answers are counted from then on.
    await api.next();
    const get = request(2, 'server.get', { id: typeof id === 'string' ? id : id.id });
    const answer = await api.ask(get);
    if (JSON.parse(answer).result === undefined) throw new Error(`server.get failed: ${answer}`);
    echo = spawn(process.execPath, [ECHO, String(answer.length)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [port] = await once(echo.stdout, 'data');
    const bare = await connect(`ws://127.0.0.1:${String(port).trim()}`);
    const row = await compare({
      what: `JSON-RPC get through the WebSocket, ${WIDTH} in flight`,
      baselineName: 'bare ws echo of the same bytes',
      goal: 0.5,
      rounds,
      ours: () => inFlight(calls, WIDTH, () => api.ask(get)),
      baseline: () => inFlight(calls, WIDTH, () => bare.ask(get)),
    });
    api.close();
    bare.close();
    return [row];
  } finally {
    echo?.kill();
    await server.stop();
    place.remove();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { printRows } = await import('./support/table.mjs');
  printRows(await run({ quick: process.argv.includes('--quick') }));
}
