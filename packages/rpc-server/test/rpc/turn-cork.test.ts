import { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { beforeEach, expect, test } from '@jest/globals';
import { HELD_MAX_BYTES, TurnCork } from '../../src/rpc/turn-cork.js';

/** What reached the sink, one item a write. */
let writes: string[];
let stream: Writable;
let cork: TurnCork;
beforeEach(() => {
  writes = [];
  stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      writes.push(chunk.toString());
      done();
    },
    writev: (chunks, done) => {
      writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)).toString());
      done();
    },
  });
  cork = new TurnCork(stream);
});

function send(text: string): void {
  cork.hold();
  stream.write(text);
}

test('what is sent in one turn leaves in one write, in order, also from promises', async () => {
  send('a');
  void Promise.resolve()
    .then(() => send('b'))
    .then(() => send('c'));
  expect(writes).toEqual([]);
  expect(stream.writableLength).toBe(1);
  await setImmediate();
  expect(writes).toEqual(['abc']);
});

test('each turn has its own write', async () => {
  send('a');
  await setImmediate();
  send('b');
  await setImmediate();
  expect(writes).toEqual(['a', 'b']);
});

test('more than is held leaves within the turn', async () => {
  const long = 'x'.repeat(HELD_MAX_BYTES);
  send(long);
  send('y');
  expect(writes).toEqual([long]);
  await setImmediate();
  expect(writes).toEqual([long, 'y']);
});

test('nothing is kept back when the stream ends in the same turn', async () => {
  send('a');
  stream.end('b');
  await setImmediate();
  expect(writes.join('')).toBe('ab');
});
