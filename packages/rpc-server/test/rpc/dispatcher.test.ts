import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { ApiMetrics } from '../../src/http/metrics.js';
import { resolveLimits } from '../../src/limits.js';
import { Dispatcher } from '../../src/rpc/dispatcher.js';
import { method } from '../../src/rpc/method.js';
import { MethodTable } from '../../src/rpc/method-table.js';
import { Session } from '../../src/session/session.js';
import type { Identity } from '../../src/session/session.js';

const CALLER = {
  session: new Session(),
  address: '127.0.0.1',
  isLocal: false,
  isAtRecoveryDoor: false,
  notify: () => undefined,
};

function identityOf(userId: string, tokenId?: string): Identity {
  const rights = { permission: 'none', mayReveal: false, groups: [], preferences: {} } as const;
  const token = { tokenId, tokenHash: undefined, expiresAtMs: undefined };
  return { userId, email: userId, ...rights, ...token, sessionGeneration: '' };
}

/** Answers one call of a method whose result throws this when it is written as JSON. */
async function answerWritten(failure: Error): Promise<{ answer: unknown; unexpected: unknown[] }> {
  const unexpected: unknown[] = [];
  const dispatcher = new Dispatcher({
    methods: new MethodTable([
      method({
        name: 'test.get',
        description: 'gives what cannot be written',
        permission: null,
        result: 'nothing',
        handler: () => ({
          toJSON: () => {
            throw failure;
          },
        }),
      }),
    ]),
    services: () => ({}) as ReturnType<ConstructorParameters<typeof Dispatcher>[0]['services']>,
    recovery: () => undefined,
    ensureFresh: () => undefined,
    limits: resolveLimits(),
    metrics: new ApiMetrics({ openSockets: () => 0, bytesInFlight: () => 0 }),
    onUnexpected: (_, error) => unexpected.push(error),
  });
  const text = await dispatcher.answer(
    Buffer.from('{"jsonrpc":"2.0","id":7,"method":"test.get"}'),
    CALLER,
  );
  return { answer: JSON.parse(text ?? ''), unexpected };
}

describe('an answer', () => {
  test('that is longer than a string can be is refused as too large', async () => {
    const { answer, unexpected } = await answerWritten(new RangeError('Invalid string length'));
    expect(answer).toMatchObject({ id: 7, error: { code: -32004 } });
    expect(unexpected).toEqual([]);
  });

  test('that cannot be written is an error, and never ends the process', async () => {
    const failure = new TypeError('MARKER-DETAIL');
    const { answer, unexpected } = await answerWritten(failure);
    expect(answer).toMatchObject({ id: null, error: { code: expect.any(Number) } });
    expect(JSON.stringify(answer)).not.toContain('MARKER');
    expect(unexpected).toEqual([failure]);
  });
});

interface Much {
  /** What ends each call that runs, or has run. */
  readonly began: (() => void)[];
  readonly callOf: (userId: string, tokenId?: string) => Promise<string | undefined>;
}

/** A method that runs once at a time for each user. */
function much(): Much {
  const began: (() => void)[] = [];
  const dispatcher = new Dispatcher({
    methods: new MethodTable([
      method({
        name: 'test.getMuch',
        description: 'gives much',
        permission: null,
        atOncePerUser: 1,
        result: 'true',
        handler: () => new Promise<void>((resolve) => began.push(resolve)),
      }),
    ]),
    services: () => ({}) as ReturnType<ConstructorParameters<typeof Dispatcher>[0]['services']>,
    recovery: () => undefined,
    ensureFresh: () => undefined,
    limits: resolveLimits(),
    metrics: new ApiMetrics({ openSockets: () => 0, bytesInFlight: () => 0 }),
    onUnexpected: () => undefined,
  });
  const callOf: Much['callOf'] = (userId, tokenId) => {
    const session = new Session();
    session.signIn(identityOf(userId, tokenId), 0);
    const text = '{"jsonrpc":"2.0","id":1,"method":"test.getMuch"}';
    return dispatcher.answer(Buffer.from(text), { ...CALLER, session });
  };
  return { began, callOf };
}

test('a method that reads much runs once at a time for each user, and for nobody twice', async () => {
  const { began, callOf } = much();
  const calls = [callOf('a'), callOf('a'), callOf('b')];
  await nextTurn();
  expect(began).toHaveLength(2);
  for (const end of began) end();
  await Promise.all([calls[0], calls[2]]);
  await nextTurn();
  expect(began).toHaveLength(3);
  began[2]?.();
  expect(await calls[1]).toContain('"result":true');
});

test('who stole a token keeps its owner waiting for one call of such a method, not for all', async () => {
  const { began, callOf } = much();
  const ended: string[] = [];
  const stolen = Array.from({ length: 5 }, () =>
    callOf('a', 'stolen').then(() => ended.push('stolen')),
  );
  const own = callOf('a').then(() => ended.push('own'));
  for (let at = 0; at <= stolen.length; at++) {
    // oxlint-disable-next-line no-await-in-loop -- the end of one begins the next
    while (began.length <= at) await nextTurn();
    began[at]?.();
  }
  await Promise.all([...stolen, own]);
  expect(ended).toEqual(['stolen', 'stolen', 'own', 'stolen', 'stolen', 'stolen']);
});
