/**
 * Marks tell a script that its command may have been executed before. When a connection breaks, the client library
 * sends the commands again that were not answered over it; whether Redis executed them nobody knows. A mark is one byte, the
 * last argument of the command:
 *
 * ```
 * 0   written for the first time, or the server said each time that it did not execute it
 * 1   written before, and not answered: it may have been executed, and may be executed still
 * ```
 */
import type { Cluster, Command, Redis } from 'ioredis';

const FRESH = 0;
const SENT_BEFORE = 1;

const marks = new WeakSet<Buffer>();
const watched = new WeakSet<Command>();

/** The last argument of a script that must know. */
export function makeSentMark(): Buffer {
  const mark = Buffer.from([FRESH]);
  marks.add(mark);
  return mark;
}

/** Whether the command may have been executed, as far as the server did not answer. */
export function maybeSent(mark: Buffer): boolean {
  return mark[0] === SENT_BEFORE;
}

/** From now on the marks in commands of this client are kept right. */
export function keepSentMarks(client: Redis | Cluster): void {
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command: Command, ...where: []): unknown => {
    watch(command);
    return send(command, ...where);
  };
}

/** For a reply that made the client send the command again by itself: the server refused it, and did nothing. */
export function noteRefusal(args: readonly unknown[]): void {
  const mark = markIn(args);
  if (mark !== undefined) mark[0] = FRESH;
}

/** A command passes here each time that it is sent, and also before it is: only what it writes to a connection counts. */
function watch(command: Command): void {
  const mark = markIn(command.args);
  if (mark === undefined || watched.has(command)) return;
  watched.add(command);
  const toWritable = command.toWritable.bind(command);
  command.toWritable = (socket) => {
    // A copy: the mark may change from here on.
    const bytes = toWritable(socket);
    mark[0] = SENT_BEFORE;
    const reject = command.reject.bind(command);
    command.reject = (error) => {
      // In a cluster it may be sent elsewhere now. The class is not asked: it may come from another realm.
      if (error.name === 'ReplyError') mark[0] = FRESH;
      reject(error);
    };
    return bytes;
  };
}

function markIn(args: readonly unknown[]): Buffer | undefined {
  const last = args.at(-1);
  return Buffer.isBuffer(last) && marks.has(last) ? last : undefined;
}
