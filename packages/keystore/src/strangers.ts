/**
 * Lines of keys that our own state never named: in a place that others may share, a sign of another
 * instance, a copy of this machine for example, that writes there too.
 */
import type { HalfLine, HalfSource, WriteGuard } from './half-source.js';

/**
 * Where a whole value is written without compare-and-swap, a line that the other instance appends
 * between our reading and our writing would be lost.
 * @returns why nothing may be written, after the name of the place; `undefined` when it may
 */
export function strangersRefusal(
  { isShared, comparesAndSwaps }: Pick<HalfSource, 'isShared' | 'comparesAndSwaps'>,
  lines: readonly HalfLine[],
  { namedKeyIds, ownBare = [] }: WriteGuard,
): string | undefined {
  if (!isShared || comparesAndSwaps || namedKeyIds === undefined) return undefined;
  const strangers = lines.filter(({ keyId, half }) =>
    keyId === undefined ? !ownBare.some((own) => own.equals(half)) : !namedKeyIds.has(keyId),
  );
  if (strangers.length === 0) return undefined;
  const names = strangers.map(({ keyId }) => keyId ?? 'without a key id');
  return `holds lines that this database never made (${[...new Set(names)].join(', ')}): another instance uses it too, or a database of before did; the next line of the other could be lost, since this source cannot compare and swap: give each instance a place of its own or a source that can (compareAndSwap), or take lines away by hand that nobody needs`;
}
