/** What the memory of a running server holds of the halves: nothing, once the key is derived; least of all after they were deleted. */
import { afterEach, expect, jest, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { countInMemory } from '../harness/process-memory.js';
import { Resources } from '../harness/resources.js';
import { VaultSite } from '../harness/vault-site.js';

// Two starts of real programs, on a machine that may be busy.
jest.setTimeout(120_000);

const resources = new Resources();
afterEach(() => resources.stop());

test('neither half stands in the memory of the server, as bytes or as text', async () => {
  const site = resources.use(await VaultSite.prepare());
  await site.start(true);
  const values = [await site.readHalfA(), readFileSync(site.halfBPath, 'utf8').trim()];
  const halves = values.map((value) => value?.split(':')[1] ?? '');
  const counts = (): number[] => {
    const { pid } = site.server;
    // What is searched is the right memory: the path of its configuration stands there.
    expect(countInMemory(pid, Buffer.from(site.server.configPath))).toBeGreaterThan(0);
    return halves.flatMap((hex) => {
      expect(hex).toMatch(/^[0-9a-f]{64}$/);
      const forms = [Buffer.from(hex, 'hex'), Buffer.from(hex), Buffer.from(hex, 'utf16le')];
      return forms.map((form) => countInMemory(pid, form));
    });
  };
  expect(counts()).toEqual([0, 0, 0, 0, 0, 0]);
  await site.call('encryption.rotateKeys');
  expect(counts()).toEqual([0, 0, 0, 0, 0, 0]);
  await site.server.terminate();

  await site.start(false);
  expect(await site.readHalfA()).toBeUndefined();
  expect(counts()).toEqual([0, 0, 0, 0, 0, 0]);
});
