/**
 * What of a collection is being indexed anew while it is served: a record that was not reached yet is filed
 * as before, so an index that changed is not asked, and who writes a record takes away what both say.
 */
import { RecordCodec } from '../records/record-codec.js';
import { parseCanonicalDefinitions } from '../partitions/sealed-definitions.js';
import type { DatabaseView } from '../state/database-state.js';

export interface Reindexing {
  /** As records were filed. */
  readonly codec: RecordCodec;
  /** Whether an index holds only what was reached already. */
  isPartial(index: string): boolean;
}

/** @returns `undefined` where every record of the collection is filed as it is written */
export function reindexingOf(
  collection: string,
  { written, before }: DatabaseView,
): Reindexing | undefined {
  if (before === undefined || before.definitions === written.definitions) return undefined;
  const [was, is] = [before, written].map(
    ({ definitions }) => parseCanonicalDefinitions(definitions, {})[collection],
  );
  // One that was not there before has no record of then.
  if (was === undefined || is === undefined) return undefined;
  const names = new Set([...Object.keys(was.indexes), ...Object.keys(is.indexes)]);
  const changed = new Set(
    [...names].filter(
      (index) => JSON.stringify(was.indexes[index]) !== JSON.stringify(is.indexes[index]),
    ),
  );
  if (changed.size === 0) return undefined;
  return {
    codec: new RecordCodec(collection, was),
    isPartial: (index) => changed.has(index),
  };
}
