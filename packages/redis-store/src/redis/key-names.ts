/**
 * All key names of Redis, made in one place.
 *
 * One partition of a collection is one hash tag, so one slot: the unit of atomicity. The hash tag is
 * the collection's name, followed by `.<number>` where a collection has several partitions.
 */

/** The parsed name of a key of ours; see {@link KeyNames.parse}. */
export type ParsedKey =
  | { readonly kind: 'fence' | 'ids' | 'proof'; readonly partition: string }
  | { readonly kind: 'record'; readonly partition: string; readonly id: string }
  | {
      readonly kind: 'exact' | 'unique';
      readonly partition: string;
      readonly index: string;
      readonly token: string;
    }
  | { readonly kind: 'meta'; readonly name: string };

const PREFIX = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/;

/** What processes leave that were killed before there was a seal: lock, heartbeats, counters. */
const FLEETING = /^(?:lock|processes|process:.*|encryptions:.*)$/;

/** Whether a key says nothing of a database. */
export function isFleeting(key: ParsedKey): boolean {
  return key.kind === 'proof' || (key.kind === 'meta' && FLEETING.test(key.name));
}

export class KeyNames {
  readonly prefix: string;

  /** @throws RangeError unless the prefix is 1 to 64 characters of `A-Za-z0-9_.:-`, beginning with a letter or digit */
  constructor(prefix = 'vault') {
    if (!PREFIX.test(prefix)) {
      throw new RangeError(`the Redis key prefix must match ${PREFIX.source}`);
    }
    this.prefix = prefix;
  }

  get seal(): string {
    return `${this.prefix}:{meta}:seal`;
  }
  get lock(): string {
    return `${this.prefix}:{meta}:lock`;
  }
  /** Sorted set of the ids of processes that have beaten, scored by expiry in ms since the epoch. */
  get processes(): string {
    return `${this.prefix}:{meta}:processes`;
  }
  process(id: string): string {
    return `${this.prefix}:{meta}:process:${id}`;
  }
  /** Counter of encryptions made under a key. */
  encryptions(keyId: string): string {
    return `${this.prefix}:{meta}:encryptions:${keyId}`;
  }

  /** Hash tag of a partition. */
  static partition(collection: string, number: number, count: number): string {
    return count === 1 ? collection : `${collection}.${number}`;
  }

  fence(partition: string): string {
    return `${this.prefix}:{${partition}}:meta`;
  }
  ids(partition: string): string {
    return `${this.prefix}:{${partition}}:ids`;
  }
  /** Never exists: for commands that need a set which is empty. */
  none(partition: string): string {
    return `${this.prefix}:{${partition}}:none`;
  }
  /** Temporary, in the slot of the partition: what an archive would put back is tried there first. */
  proof(partition: string, name: string): string {
    return `${this.prefix}:{${partition}}:proof:${name}`;
  }
  record(partition: string, id: string): string {
    return `${this.prefix}:{${partition}}:r:${id}`;
  }
  recordPrefix(partition: string): string {
    return `${this.prefix}:{${partition}}:r:`;
  }
  exact(partition: string, index: string, token: string): string {
    return `${this.prefix}:{${partition}}:i:${index}:${token}`;
  }
  unique(partition: string, index: string, token: string): string {
    return `${this.prefix}:{${partition}}:u:${index}:${token}`;
  }

  /** What every key of ours begins with; the hash tag follows. */
  get head(): string {
    return `${this.prefix}:{`;
  }

  /** `MATCH` pattern of every key of ours (glob characters of the prefix cannot occur). */
  get pattern(): string {
    return `${this.head}*`;
  }

  /** `MATCH` pattern of every record of ours; other keys may match it too: {@link parse} tells. */
  get recordPattern(): string {
    return `${this.prefix}:{*}:r:*`;
  }

  /** What a key name says; `undefined` when it is not one of ours. */
  parse(key: string): ParsedKey | undefined {
    const { head } = this;
    if (!key.startsWith(head)) return undefined;
    const close = key.indexOf('}:', head.length);
    if (close < 0) return undefined;
    const partition = key.slice(head.length, close);
    const rest = key.slice(close + 2);
    if (rest.startsWith('proof:')) return { kind: 'proof', partition };
    if (partition === 'meta') return { kind: 'meta', name: rest };
    if (rest === 'meta') return { kind: 'fence', partition };
    if (rest === 'ids') return { kind: 'ids', partition };
    if (rest.startsWith('r:')) return { kind: 'record', partition, id: rest.slice(2) };
    const entry = /^([iu]):([A-Za-z0-9]+):([A-Za-z0-9_-]{22})$/.exec(rest);
    if (entry === null) return undefined;
    const [, kind, index = '', token = ''] = entry;
    return { kind: kind === 'u' ? 'unique' : 'exact', partition, index, token };
  }
}
