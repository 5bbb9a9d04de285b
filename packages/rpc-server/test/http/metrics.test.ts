import { expect, test } from '@jest/globals';
import type { ExportNote } from '../../src/backup/export-state.js';
import { ApiMetrics } from '../../src/http/metrics.js';

const PROVEN = {
  at: '2026-11-22T06:05:00.000Z',
  file: 'f',
  records: 3,
  proof: 'checksum',
} as const;

test.each<[string, ExportNote['scheduledExport'], readonly string[]]>([
  [
    'proven',
    { lastResult: 'proven', proven: PROVEN, provenAgeMs: 90_500, reason: null, lastTryAt: '' },
    ['age_seconds 90.5', 'ok 1'],
  ],
  [
    'failed since',
    { lastResult: 'failed', proven: PROVEN, provenAgeMs: 90_500, reason: 'x', lastTryAt: '' },
    ['age_seconds 90.5', 'ok 0'],
  ],
  [
    'never proven',
    { lastResult: 'incomplete', proven: null, provenAgeMs: null, reason: 'x', lastTryAt: '' },
    ['ok 0'],
  ],
  ['not scheduled', null, []],
])('an export that is %s has its metrics', async (_, scheduledExport, expected) => {
  const metrics = new ApiMetrics({ openSockets: () => 0, bytesInFlight: () => 0 });
  metrics.watchExports(() => Promise.resolve({ scheduledExport }));
  const lines = (await metrics.text()).split('\n');
  const prefix = 'vault_scheduled_export_';
  const found = lines.filter((line) => line.startsWith(prefix));
  expect(found.map((line) => line.slice(prefix.length))).toEqual(expected);
});
