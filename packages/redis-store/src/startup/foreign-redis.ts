/**
 * Whether a Redis database is another system's: looked at before anything is written there, heartbeat and lock
 * included. Where our seal stands it is ours, whatever stands beside it.
 *
 * Only names are read, by SCAN, which an ACL user who may touch nothing but the prefix can do, too.
 */
import { ACCEPT_ADVICE, DegradedError } from '../errors.js';
import { isFleeting } from '../redis/key-names.js';
import type { KeyNames } from '../redis/key-names.js';
import type { RedisLink } from '../redis/redis-link.js';
import type { Witness } from '../state/witness.js';

/** The set in which a Xen Orchestra lists what it keeps. */
const XEN_ORCHESTRA_SIGN = 'xo::namespaces';
const XEN_ORCHESTRA_PATTERN = 'xo:*';
/** Counted up to here: whoever reads the message needs to know that there are many, not how many. */
const COUNTED_MAX = 10_000;

/** What speaks for the database beside the seal. */
export type Expectation =
  /** nothing: this server knows of none */
  | 'none'
  /** a witness of a database, or an operator who accepts what is there: keys that look like ours are ours */
  | 'ours'
  /** an operator decided that a new one begins here, beside whatever else has the prefix */
  | 'new';

/** @throws {DegradedError} `foreignRedis` or `foreignDatabase`: nothing was written */
export async function refuseForeignRedis(link: RedisLink, expected: Expectation): Promise<void> {
  const { names } = link;
  if ((await link.get(names.seal)) !== undefined) return;
  const underPrefix = await namesLike(link, `${names.prefix}:*`);
  const kinds = [...underPrefix].map((key) => kindOf(names, key));
  const ours = kinds.filter((kind) => kind === 'ours').length;
  if (expected !== 'none' && ours > 0) return;
  const orchestra = await namesLike(link, XEN_ORCHESTRA_PATTERN);
  if (orchestra.has(XEN_ORCHESTRA_SIGN)) throw orchestraError(orchestra.size - 1);
  if (expected === 'new') return;
  const others = kinds.filter((kind) => kind === 'another').length;
  if (others > 0) throw prefixError(names.prefix, others);
  if (ours > 0) throw leftoverError(names.prefix, ours);
}

/** @param witness as read */
export function expectationOf(witness: Awaited<ReturnType<Witness['read']>>): Expectation {
  if (witness === undefined) return 'none';
  return witness !== 'malformed' && witness.epoch === 0 ? 'new' : 'ours';
}

function kindOf(names: KeyNames, key: string): 'ours' | 'fleeting' | 'another' {
  const parsed = names.parse(key);
  if (parsed === undefined) return 'another';
  if (isFleeting(parsed)) return 'fleeting';
  return parsed.kind === 'meta' ? 'another' : 'ours';
}

/** Names of keys of every master; a name that SCAN gives twice counts once. */
async function namesLike(link: RedisLink, pattern: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const master of await link.mastersOfAllSlots()) {
    // oxlint-disable-next-line no-await-in-loop -- one page after the other
    for await (const page of master.scan(pattern)) {
      for (const key of page) {
        // The sign counts wherever it comes; of all others enough is enough.
        if (found.size < COUNTED_MAX || key === XEN_ORCHESTRA_SIGN) found.add(key);
      }
    }
  }
  return found;
}

function orchestraError(others: number): DegradedError {
  return new DegradedError('foreignRedis', {
    cause: `the Redis database has the key ${XEN_ORCHESTRA_SIGN}, the sign of a Xen Orchestra, and ${counted(others, 'other key')} that begin with "xo:"; nothing was written there`,
    advice:
      'give this server another database number, or another Redis, in [redis], and restart; a Xen Orchestra goes on with its own',
  });
}

function prefixError(prefix: string, others: number): DegradedError {
  return new DegradedError('foreignRedis', {
    cause: `the Redis database has ${counted(others, 'key')} that begin with "${prefix}:" and are not of this server, and no seal; nothing was written there`,
    advice:
      'give this server another prefix, another database number, or another Redis, in [redis], and restart',
  });
}

/** Records or fences as we write them: nobody else's, but nothing says of which database. */
function leftoverError(prefix: string, ours: number): DegradedError {
  return new DegradedError('foreignDatabase', {
    cause: `the Redis database has ${counted(ours, 'key')} of a database of this kind under "${prefix}:", but no seal, and this server does not know it`,
    advice: `${ACCEPT_ADVICE}; else give this server another prefix, another database number, or another Redis, in [redis]`,
  });
}

function counted(count: number, noun: string): string {
  if (count >= COUNTED_MAX) return `${COUNTED_MAX} or more ${noun}s`;
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}
