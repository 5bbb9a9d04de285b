/** Room for backup and manifest is looked for before anything changes. */
import { statfs } from 'node:fs/promises';
import type { MigrationContext } from './migration-context.js';
import { MigrationError } from '../migration-error.js';
import { countRecords } from '../partitions/record-stream.js';

/** Base64 of an envelope is 4/3 as long as it; names, ids and hashes of backup and manifest take less than this a record. */
const GROWTH = 4 / 3;
const OVERHEAD_BYTES = 400;
const SAMPLE_RECORDS = 200;

/**
 * Estimates the files from a sample of each partition.
 * @throws {MigrationError} when the data folder has not so much room
 */
export async function checkFreeSpace(context: MigrationContext): Promise<void> {
  const needed = await estimateBytes(context);
  const { bavail, bsize } = await statfs(context.dataDir);
  const free = bavail * bsize;
  if (free < needed) {
    throw new MigrationError(
      `${context.dataDir} has ${free} bytes free, backup and manifest take about ${Math.ceil(needed)}`,
    );
  }
}

async function estimateBytes({ keeper }: MigrationContext): Promise<number> {
  const collections = keeper.filed();
  const partitions = collections.flatMap((collection) => collection.partitions);
  const sizes = await Promise.all(
    partitions.map(async (partition) => {
      const ids = await partition.pageIds('', SAMPLE_RECORDS);
      const values = await partition.readMany(ids);
      const bytes = values.reduce((sum, value) => sum + (value?.length ?? 0), 0);
      return ids.length === 0 ? 0 : ((await partition.count()) * bytes * GROWTH) / ids.length;
    }),
  );
  const records = await countRecords(collections);
  return sizes.reduce((sum, size) => sum + size, 0) + records * OVERHEAD_BYTES;
}
