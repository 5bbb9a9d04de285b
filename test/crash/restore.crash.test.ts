/** `vault-server restore-migration-backup`, killed at commands and at file operations: the same command, run again, ends it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Program } from '../harness/program.js';
import { Resources } from '../harness/resources.js';
import { VaultServer } from '../harness/vault-server.js';
import { HALF_A_NODE, VaultSite, type SavedSite } from '../harness/vault-site.js';
import { FILE_FAULTS, FileFaults } from './file-faults.js';
import { MARKER } from './records.js';
import { announceCases, choose, IS_EXHAUSTIVE, SeededChoice } from './seeded-choice.js';

const SERVERS = 4;
/** A case is three starts of the program, of a second each. */
const SAMPLES = IS_EXHAUSTIVE ? 25 : 1;
const TEST_LIMIT_MS = 1_800_000;
const ENDED = /were put back into a new database|nothing needs to be put back/;

const resources = new Resources();
let cases = 0;
let site: VaultSite;
let faults: FileFaults;
let restoring: VaultServer;
let failed: SavedSite;

beforeAll(async () => {
  site = resources.use(await VaultSite.prepare());
  faults = resources.use(await FileFaults.start(site.server.dataDir));
  await site.start(false);
  await site.signedIn(async (call) => {
    for (let n = 0; n < SERVERS; n += 1) {
      const secret = { username: `plain-marker-${n % 2}`, password: `plain-marker-${n}` };
      await call('server.add', { host: `host-${n}.plain-marker.example`, ...secret });
    }
  });
  await site.server.terminate();
  await site.startAndKillAt(true, /"isBackedUp":true/);
  await site.writeHalfA(undefined);
  site.writeHalfB(undefined);
  failed = await site.save();
  restoring = resources.use(
    await VaultServer.prepare({
      folder: site.server.folder,
      env: { XENSTORED_PATH: site.xenstored.socketPath, ...faults.env },
      args: [
        'restore-migration-backup',
        join(site.server.dataDir, 'encryption-backup.json'),
        '--yes',
      ],
      config: {
        keystore: { halfA: { source: 'xenstore', path: HALF_A_NODE }, halfB: { source: 'file' } },
      },
    }),
  );
}, TEST_LIMIT_MS);
afterAll(async () => {
  await resources.stop();
  announceCases('restore', cases);
});

function filesWithMarker(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => MARKER.test(readFileSync(path, 'latin1')));
}

/** Once, with `arm` just before; then again as often as it takes, and a start that is looked at. */
async function runCase(encrypt: boolean, arm: (program: Program) => void): Promise<string[]> {
  cases += 1;
  await site.restore(failed);
  site.proxy.reset();
  restoring.configure(site.encryption(encrypt));
  const program = restoring.spawn();
  arm(program);
  await program.exited;
  site.proxy.intercept = undefined;
  faults.forget();
  const again = restoring.spawn();
  const { status } = await again.exited;
  const findings: string[] = [];
  if (!ENDED.test(again.stdout + again.stderr)) findings.push(`status ${status}: ${again.stderr}`);
  await site.start(encrypt);
  findings.push(...(await examine(encrypt)));
  await site.server.terminate();
  return findings;
}

async function examine(encrypt: boolean): Promise<string[]> {
  if (site.server.state !== 'ready') return [`not ready: ${site.server.stderr}`];
  const findings = await site.signedIn(async (call) => {
    const servers = (await call('server.getAll')) as readonly { host: string }[];
    const hosts = servers.map(({ host }) => host).toSorted();
    const { isSound } = (await call('encryption.verify')) as { isSound: boolean };
    const { state } = (await call('encryption.getStatus')) as { state: string };
    return [
      ...(hosts.length === SERVERS ? [] : [`other records: ${hosts.join()}`]),
      ...(isSound ? [] : ['verify: not sound']),
      ...(state === (encrypt ? 'encrypted' : 'plaintext') ? [] : [`state ${state}`]),
    ];
  });
  const left = readdirSync(site.server.dataDir).filter((name) =>
    /\.tmp-|\.spool$|under-way|\.manifest$/.test(name),
  );
  findings.push(...left.map((name) => `left over: ${name}`));
  if (!encrypt) return findings;
  const isNamed = (path: string): boolean => site.server.stderr.includes(path);
  const plain = [
    ...filesWithMarker(site.redis.folder),
    ...filesWithMarker(site.server.dataDir).filter((path) => !isNamed(path)),
  ];
  return [...findings, ...plain.map((path) => `plaintext in ${basename(path)}`)];
}

const SETTINGS = [
  { name: 'off', encrypt: false },
  { name: 'on', encrypt: true },
];

describe.each(choose(SETTINGS, 1, 'restore'))('with encryption $name', ({ name, encrypt }) => {
  test(
    'killed at a command to Redis, the same command ends it',
    async () => {
      await site.restore(failed);
      site.proxy.reset();
      restoring.configure(site.encryption(encrypt));
      await restoring.spawn().exited;
      const commands = site.proxy.requests;
      for (const n of new SeededChoice(`restore ${name}`).pick(SAMPLES, commands)) {
        const findings = await runCase(encrypt, (program) => {
          site.proxy.intercept = (passage) => {
            if (passage.direction !== 'request' || passage.n !== n) return 'pass';
            program.signal('SIGKILL');
            return 'cut';
          };
        });
        expect({ n, findings }).toEqual({ n, findings: [] });
      }
    },
    TEST_LIMIT_MS,
  );

  test(
    'killed at a file operation, the same command ends it',
    async () => {
      const kill = FILE_FAULTS.find(({ mode }) => mode === 'kill');
      if (kill === undefined) throw new TypeError('there is no such fault');
      await site.restore(failed);
      restoring.configure(site.encryption(encrypt));
      faults.plan(1_000_000, kill);
      await restoring.spawn().exited;
      const operations = faults.operations().length;
      expect(operations).toBeGreaterThan(10);
      for (const n of new SeededChoice(`restore files ${name}`).pick(SAMPLES, operations)) {
        const findings = await runCase(encrypt, () => faults.plan(n, kill));
        expect({ n, findings }).toEqual({ n, findings: [] });
      }
    },
    TEST_LIMIT_MS,
  );
});
