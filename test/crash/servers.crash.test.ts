/** The real vault-server, killed at commands and at file operations, and two that start at once. */
import { afterAll, describe, expect, test } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { RedisServer } from '../harness/redis.js';
import { Resources } from '../harness/resources.js';
import { TcpProxy } from '../harness/tcp-proxy.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { VaultServer } from '../harness/vault-server.js';
import { FILE_FAULTS, FileFaults } from './file-faults.js';
import { MARKER } from './records.js';
import { announceCases, IS_EXHAUSTIVE, SeededChoice } from './seeded-choice.js';
import { ServerStage, untilKilledOrUp } from './server-stage.js';

/** A start of the binary costs a second: of all its commands and file operations this many are taken. */
const SAMPLES = IS_EXHAUSTIVE ? 25 : 1;
/** About as many as a start that migrates has. */
const COMMANDS = 130;
const FILE_OPERATIONS = 120;
const TEST_LIMIT_MS = 900_000;

let cases = 0;
afterAll(() => announceCases('servers', cases));

function filesWithMarker(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => MARKER.test(readFileSync(path, 'latin1')));
}

describe.each([
  { name: 'encrypt', before: false, after: true },
  { name: 'decrypt', before: true, after: false },
])('vault-server, $name', ({ name, before, after }) => {
  const resources = new Resources();
  afterAll(() => resources.stop());

  test(
    'killed at a command to Redis, the next start serves everything',
    async () => {
      const redis = resources.use(
        await RedisServer.start({ appendonly: true, config: ['rdbcompression no'] }),
      );
      const client = redis.client();
      const path = resources.use(new TemporaryFolder('vault-proxy')).join('redis.sock');
      const target = { path: redis.socketPath ?? '' };
      const proxy = resources.use(await TcpProxy.start({ target, listenPath: path }));
      const stage = resources.use(await ServerStage.prepare({ socket: path }));
      await stage.makeBase(before);
      const base = await dumpOf(client);
      for (const n of new SeededChoice(`server ${name}`).pick(SAMPLES, COMMANDS)) {
        cases += 1;
        stage.restore();
        await restoreTo(client, base);
        stage.setEncryption(after);
        proxy.reset();
        const program = stage.server.spawn();
        proxy.intercept = (passage) => {
          if (passage.direction !== 'request' || passage.n !== n) return 'pass';
          program.signal('SIGKILL');
          return 'cut';
        };
        await untilKilledOrUp(stage.server);
        await stage.server.kill();
        proxy.reset();
        const findings = await stage.examine(after);
        if (after) findings.push(...filesWithMarker(redis.folder));
        if (after) findings.push(...filesWithMarker(stage.server.dataDir));
        expect({ n, findings }).toEqual({ n, findings: [] });
      }
    },
    TEST_LIMIT_MS,
  );

  test(
    'with a Redis of its own, killed at a file operation, the next start serves everything',
    async () => {
      const folder = resources.use(new TemporaryFolder('vault-server'));
      const faults = resources.use(await FileFaults.start(folder.join('data')));
      const stage = resources.use(
        await ServerStage.prepare({}, { folder: folder.path, env: faults.env }),
      );
      await stage.makeBase(before);
      const kill = FILE_FAULTS.find(({ mode }) => mode === 'kill');
      if (kill === undefined) throw new TypeError('there is no such fault');
      for (const n of new SeededChoice(`own ${name}`).pick(SAMPLES, FILE_OPERATIONS)) {
        cases += 1;
        stage.restore();
        stage.setEncryption(after);
        faults.plan(n, kill);
        stage.server.spawn();
        await untilKilledOrUp(stage.server);
        await stage.server.kill();
        faults.forget();
        const findings = await stage.examine(after);
        if (after) findings.push(...filesWithMarker(stage.server.dataDir));
        expect({ n, findings }).toEqual({ n, findings: [] });
      }
    },
    TEST_LIMIT_MS,
  );
});

type Dump = readonly (readonly [string, Buffer])[];

async function dumpOf(client: Redis): Promise<Dump> {
  const keys = await client.keys('*');
  return Promise.all(keys.map(async (key) => [key, await client.dumpBuffer(key)] as const));
}

async function restoreTo(client: Redis, dump: Dump): Promise<void> {
  await client.flushall();
  await Promise.all(dump.map(([key, value]) => client.restore(key, 0, value)));
}

describe('two servers that start at once on one Redis', () => {
  const resources = new Resources();
  afterAll(() => resources.stop());

  test(
    'one encrypts, the other waits and then serves, and there is one key',
    async () => {
      const redis = resources.use(await RedisServer.start({ appendonly: true }));
      const shared = resources.use(new TemporaryFolder('vault-halves'));
      const half = (file: string): { source: string; path: string; shared: boolean } => ({
        source: 'file',
        path: shared.join(file),
        shared: true,
      });
      const keystore = { halfA: half('half-a'), halfB: half('half-b') };
      const options = { config: { keystore } };
      const first = resources.use(
        await ServerStage.prepare({ socket: redis.socketPath ?? '' }, options),
      );
      await first.makeBase(false);
      first.setEncryption(true);
      const second = resources.use(await VaultServer.prepare(options));
      second.configure({
        redis: { socket: redis.socketPath ?? '', encryptCredentialDatabase: true },
      });
      cases += 1;

      await Promise.all([first.server.launch(), second.launch()]);

      expect([first.server.state, second.state]).toEqual(['ready', 'ready']);
      const logs = [first.server.stderr, second.stderr].join('\n');
      expect(logs.match(/All records are encrypted and verified/g)).toHaveLength(1);
      for (const file of ['half-a', 'half-b']) {
        expect(readFileSync(shared.join(file), 'utf8').trimEnd().split('\n')).toHaveLength(1);
      }
      expect(await first.readAll()).toEqual(first.expected);
      expect((await second.run(['verify'])).status).toBe(0);
    },
    TEST_LIMIT_MS,
  );
});
