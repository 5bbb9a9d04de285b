/** The bare `ws` that JSON-RPC is compared with: answers each message with bytes as long as an answer of the server. */
import { WebSocketServer } from 'ws';

const reply = 'x'.repeat(Number(process.argv[2]));
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', (socket) => socket.on('message', () => socket.send(reply)));
server.on('listening', () => process.stdout.write(`${server.address().port}\n`));
