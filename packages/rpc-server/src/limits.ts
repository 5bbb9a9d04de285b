/**
 * Every limit of the server's faces: one table from which come configuration, documentation and the
 * values in force. Each has a test that goes past it.
 */

import { RECORD_LIMITS } from '@vault/redis-store';

/** What a number counts. */
export type LimitUnit = 'bytes' | 'ms' | 'count' | 'KiB';

export interface LimitRow {
  readonly default: number;
  readonly unit: LimitUnit;
  readonly min: number;
  readonly max: number;
  /** One line for configuration file and documents. */
  readonly description: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
/** Of a call around its record: the request, its parameters, the batch; with room to spare. */
const ENVELOPE_VALUES = 64;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

export const LIMITS = {
  messageBeforeSignInBytes: {
    default: 64 * KIB,
    unit: 'bytes',
    min: KIB,
    max: 100 * MIB,
    description: 'largest WebSocket message before sign-in',
  },
  messageBytes: {
    default: 2 * MIB,
    unit: 'bytes',
    min: KIB,
    max: 100 * MIB,
    description: 'largest WebSocket message after sign-in; a record has at most 1 MiB',
  },
  messageValuesBeforeSignIn: {
    default: 1000,
    unit: 'count',
    min: 100,
    max: 1_000_000,
    description: 'most values (texts, numbers, objects, …) in one message before sign-in',
  },
  messageValues: {
    default: 2 * RECORD_LIMITS.values,
    unit: 'count',
    min: RECORD_LIMITS.values + ENVELOPE_VALUES,
    max: 1_000_000,
    description: `most values in one message after sign-in; a record has at most ${RECORD_LIMITS.values}`,
  },
  unfinishedMessageMs: {
    default: MINUTE_MS,
    unit: 'ms',
    min: 100,
    max: HOUR_MS,
    description: 'a socket whose message has begun and is not whole is closed after',
  },
  unreadAnswerMs: {
    default: MINUTE_MS,
    unit: 'ms',
    min: 100,
    max: HOUR_MS,
    description:
      'a socket or download of which the client reads nothing, though there is something to read, is closed after',
  },
  bytesInFlight: {
    default: 256 * MIB,
    unit: 'bytes',
    min: MIB,
    max: 64 * GIB,
    description:
      'memory of all messages that are received, worked on, or answered and not read; past it reading waits, and the socket that holds most is closed',
  },
  bytesInFlightPerUser: {
    default: 128 * MIB,
    unit: 'bytes',
    min: MIB,
    max: 64 * GIB,
    description: 'the same of one user',
  },
  bytesInFlightOfStrangers: {
    default: 32 * MIB,
    unit: 'bytes',
    min: 256 * KIB,
    max: 64 * GIB,
    description: 'the same of all sockets that nobody signed in on',
  },
  answerBytes: {
    default: 64 * MIB,
    unit: 'bytes',
    min: KIB,
    // xo-cli refuses messages over 100 MiB.
    max: 100 * MIB,
    description: 'largest answer to one call',
  },
  batchCalls: {
    default: 20,
    unit: 'count',
    min: 1,
    max: 1000,
    description: 'most calls in one JSON-RPC batch',
  },
  callsInFlight: {
    default: 256,
    unit: 'count',
    min: 1,
    max: 65_536,
    description: 'calls of one socket that run at once; the socket is not read meanwhile',
  },
  callsInFlightPerUser: {
    default: 512,
    unit: 'count',
    min: 1,
    max: 65_536,
    description:
      'calls of one user that run at once, of one token (or of the sessions by password) a quarter of them; more wait for their turn',
  },
  callsInFlightOfStrangers: {
    default: 1024,
    unit: 'count',
    min: 1,
    max: 65_536,
    description:
      'calls before sign-in that run at once, of one address a quarter of them; more wait for their turn',
  },
  sockets: {
    default: 2000,
    unit: 'count',
    min: 1,
    max: 1_000_000,
    description:
      'open WebSockets; for one more the oldest that never signed in is closed, else it is answered 503',
  },
  socketsPerUser: {
    default: 250,
    unit: 'count',
    min: 1,
    max: 1_000_000,
    description:
      'open WebSockets of one user; for one more the one that was used longest ago is closed, of the token (or of the sessions by password) with most',
  },
  socketsPerAddress: {
    default: 1000,
    unit: 'count',
    min: 1,
    max: 1_000_000,
    description:
      'open WebSockets of one address (IPv6: of one /64); for one more its oldest that never signed in is closed, else it is answered 503',
  },
  httpConnections: {
    default: 1000,
    unit: 'count',
    min: 1,
    max: 1_000_000,
    description:
      'open connections that are no WebSocket; for one more the oldest of the address with most is closed',
  },
  httpConnectionsPerAddress: {
    default: 250,
    unit: 'count',
    min: 1,
    max: 1_000_000,
    description:
      'those of one address (IPv6: of one /64) that is no trusted proxy; for one more the oldest is closed',
  },
  unsentBytes: {
    default: 128 * MIB,
    unit: 'bytes',
    min: 64 * KIB,
    max: GIB,
    description: 'answers and notifications that wait for a slow client before it is cut off',
  },
  signInDeadlineMs: {
    default: 5 * MINUTE_MS,
    unit: 'ms',
    min: SECOND_MS,
    max: 24 * HOUR_MS,
    description: 'a socket that never signed in is closed after',
  },
  rightsRecheckMs: {
    default: 5 * SECOND_MS,
    unit: 'ms',
    min: 100,
    max: MINUTE_MS,
    description: 'a user or token that was taken away loses its sockets within',
  },
  throttlingDelayMs: {
    default: 2 * SECOND_MS,
    unit: 'ms',
    min: 0,
    max: HOUR_MS,
    description:
      'time between a failed password sign-in and the next of the same name from the same address',
  },
  throttledWaitMs: {
    default: 10 * SECOND_MS,
    unit: 'ms',
    min: 0,
    max: MINUTE_MS,
    description: 'a sign-in that comes too early waits for its turn, not longer than',
  },
  guessesPerName: {
    default: 20,
    unit: 'count',
    min: 1,
    max: 100_000,
    description:
      'failed sign-ins of one name, from all addresses that never signed in with it, and wrong own passwords sent with one token, before they are slowed',
  },
  guessIntervalMs: {
    default: 10 * SECOND_MS,
    unit: 'ms',
    min: 10,
    max: HOUR_MS,
    description: 'after `guessesPerName`, one more is checked each',
  },
  otpGuesses: {
    default: 10,
    unit: 'count',
    min: 1,
    max: 1000,
    description:
      'wrong one-time passwords of a user, sent with the right password, before they are slowed; each address that signed in before has as many of its own',
  },
  otpGuessIntervalMs: {
    default: 15 * MINUTE_MS,
    unit: 'ms',
    min: SECOND_MS,
    max: 24 * HOUR_MS,
    description: 'after `otpGuesses`, one more is compared each; a sign-in gives none back',
  },
  passwordChecksAtOnce: {
    default: 2,
    unit: 'count',
    min: 1,
    max: 64,
    description: 'password checks (Argon2id) that run at once',
  },
  passwordChecksWaiting: {
    default: 32,
    unit: 'count',
    min: 0,
    max: 10_000,
    description:
      'password checks that wait, in fair shares by address; more are refused with code 28',
  },
  passwordMemoryKiB: {
    default: 19 * KIB,
    unit: 'KiB',
    min: 8 * KIB,
    max: GIB / KIB,
    description: 'memory of one password check (Argon2id m)',
  },
  passwordBytes: {
    default: 1024,
    unit: 'bytes',
    min: 64,
    max: 64 * KIB,
    description: 'longest password',
  },
  tokensPerUser: {
    default: 1000,
    unit: 'count',
    min: 1,
    max: 100_000,
    description: 'tokens that one user can have',
  },
  defaultTokenValidityMs: {
    default: 30 * 24 * HOUR_MS,
    unit: 'ms',
    min: MINUTE_MS,
    max: 10 * 365.25 * 24 * HOUR_MS,
    description: 'validity of a token that was created without expiresIn',
  },
  maxTokenValidityMs: {
    default: 0.5 * 365.25 * 24 * HOUR_MS,
    unit: 'ms',
    min: MINUTE_MS,
    max: 10 * 365.25 * 24 * HOUR_MS,
    description:
      'longest expiresIn of a token; lowered, it ends those that were created for longer, too',
  },
  transferLifetimeMs: {
    default: 5 * MINUTE_MS,
    unit: 'ms',
    min: SECOND_MS,
    max: 24 * HOUR_MS,
    description: 'a one-time transfer URL lives',
  },
  transfersOpen: {
    default: 100,
    unit: 'count',
    min: 1,
    max: 100_000,
    description:
      'one-time transfer URLs that wait to be used; for one more the oldest of the user who has most is forgotten',
  },
  transfersPerUser: {
    default: 10,
    unit: 'count',
    min: 1,
    max: 100_000,
    description:
      'those of one user; for one more the oldest is forgotten, of the token (or of the sessions by password) with most',
  },
  transfersRunningPerUser: {
    default: 10,
    unit: 'count',
    min: 1,
    max: 100_000,
    description:
      'uploads and downloads of one user that run at once, of one token half of them; more are answered 503',
  },
  uploadBytes: {
    default: 4 * GIB,
    unit: 'bytes',
    min: KIB,
    max: 1024 * GIB,
    description: 'largest upload',
  },
  uploadDurationMs: {
    default: HOUR_MS,
    unit: 'ms',
    min: SECOND_MS,
    max: 24 * HOUR_MS,
    description: 'longest time that one upload may take',
  },
} as const satisfies Record<string, LimitRow>;

export type LimitName = keyof typeof LIMITS;
/** Values in force; the unit is in the name. */
export type Limits = Readonly<Record<LimitName, number>>;

/**
 * The table's defaults with some values replaced.
 * @throws RangeError naming the limit, its bounds and its unit
 */
export function resolveLimits(overrides: Partial<Limits> = {}): Limits {
  const rows = Object.entries(LIMITS) as [LimitName, LimitRow][];
  const values = rows.map(([name, { default: standard, min, max, unit }]) => {
    const value = overrides[name] ?? standard;
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new RangeError(`limit ${name}: expected an integer from ${min} to ${max} ${unit}`);
    }
    return [name, value] as const;
  });
  return Object.fromEntries(values) as Limits;
}
