/** Names of collections and indexes: they go into key derivation and into Redis keys, so their alphabet is small. */
const NAME = /^[a-z][A-Za-z0-9]*$/;
const NAME_MAX_LENGTH = 64;

/** Whether `name` may name a collection or an index: `[a-z][A-Za-z0-9]*`, at most 64 characters. */
export function isName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= NAME_MAX_LENGTH && NAME.test(name);
}

/** @throws RangeError when `name` may not name a collection or an index */
export function assertName(name: string, what: 'collection' | 'index'): void {
  if (!isName(name)) {
    throw new RangeError(
      `the name of ${what === 'index' ? 'an index' : 'a collection'} must match ${NAME.source}, at most ${NAME_MAX_LENGTH} characters`,
    );
  }
}
