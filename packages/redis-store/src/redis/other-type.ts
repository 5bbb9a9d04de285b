/** A key of the state that holds another type: no start gets by it, so the message names it. */
import { RedisRefusedError } from '../errors.js';
import type { KeyNames } from './key-names.js';

/** What is said of such a key: it holds no record, and what stands there is none of ours. */
export function otherType(key: string): string {
  return `the key ${key} holds another type, so it was not written by this server: remove it (DEL ${key}), and restart the server`;
}

/** The reply of a command to a key; names of records and entries stay out of messages. */
export async function namingState<T>(names: KeyNames, key: string, reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    const isType = error instanceof RedisRefusedError && error.reply === 'WRONGTYPE';
    const kind = isType ? names.parse(key)?.kind : undefined;
    if (kind !== 'meta' && kind !== 'fence') throw error;
    throw new RedisRefusedError('WRONGTYPE', otherType(key));
  }
}
