/** Heartbeats that somebody forged, or that a killed process left: named, and never waited for without end. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EventEmitter, once } from 'node:events';
import { contents, DatabaseFixture, fill } from './database-fixture.js';
import { RecordingLogger } from './store-fixture.js';

let fixture: DatabaseFixture;
let forging: NodeJS.Timeout | undefined;
beforeEach(async () => {
  fixture = await DatabaseFixture.start();
});
afterEach(async () => {
  clearInterval(forging);
  await fixture.stop();
});

/** Writes a heartbeat as anybody can who has no key, without an end. */
async function forge(isEncrypting: boolean, beat = 1): Promise<void> {
  const content = {
    v: 1,
    identity: { id: 'forged', host: 'elsewhere', pid: 7, incarnation: '' },
    role: 'server',
    isEncrypting,
    beat,
    beatAtMs: Date.now(),
  };
  const mac = `0123456789abcdef:${'A'.repeat(43)}`;
  await fixture.client.set('vault:{meta}:process:forged', `${JSON.stringify(content)}\n${mac}`);
  await fixture.client.zadd('vault:{meta}:processes', Date.now() + 3_600_000, 'forged');
}
/** Goes on writing them. */
async function keepForging(isEncrypting: boolean): Promise<void> {
  let beat = 1;
  await forge(isEncrypting);
  forging = setInterval(() => void forge(isEncrypting, ++beat), 100);
}
function warningsOf(part: string): unknown[] {
  return fixture.logger.lines
    .filter(({ level, message }) => level === 'warn' && message.includes(part))
    .map(({ data }) => data['processes']);
}

describe('a forged heartbeat that never ends', () => {
  it('does not hold up a rotation, and is named in log and status', async () => {
    await fixture.using({}, async (database) => {
      await fill(database, 10);
      await keepForging(true);
      const report = await database.rotateKey({ confirmWithinMs: 1500 });
      expect(report.records).toBe(11);
      expect(warningsOf('do not prove the active key')).toEqual([['process 7 on elsewhere']]);
      const { processes } = await database.status();
      expect(processes).toContainEqual(
        expect.objectContaining({ host: 'elsewhere', provenKeyIds: [] }),
      );
    });
  });

  it('does not hold up a start of an encrypted database', async () => {
    await fixture.using({}, async (database) => fill(database, 3));
    await keepForging(false);
    await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
    expect(warningsOf('prove no key')).toEqual([['process 7 on elsewhere']]);
  });

  it('does not keep a plaintext database from being encrypted, but for the time that a heartbeat lasts', async () => {
    const before = await fixture.using({ encrypt: false }, async (database) => {
      await fill(database, 3);
      return contents(database);
    });
    await keepForging(false);
    await fixture.using({}, async (database) => {
      expect(database.state).toBe('encrypted');
      expect(await contents(database)).toEqual(before);
    });
    expect(warningsOf('prove no key')).toEqual([['process 7 on elsewhere']]);
  }, 30_000);

  it('brings no text of its maker into the log', async () => {
    await fixture.using({}, async (database) => {
      const identity = { id: 'forged', host: 'x\nvault:server INFO all is well', pid: 7 };
      const beat = { v: 1, identity: { ...identity, incarnation: '' }, role: 'server', beat: 1 };
      const text = JSON.stringify({ ...beat, isEncrypting: true, beatAtMs: Date.now() });
      await fixture.client.set('vault:{meta}:process:forged', `${text}\n`);
      await fixture.client.zadd('vault:{meta}:processes', Date.now() + 3_600_000, 'forged');
      await database.rotateKey({ confirmWithinMs: 1500 });
      expect((await database.status()).processes).toHaveLength(1);
    });
    expect(JSON.stringify(fixture.logger.lines)).not.toContain('all is well');
  });
});

describe('a forged lock that never ends', () => {
  it('is taken over when no holder renews it', async () => {
    const identity = { id: 'forged', host: 'elsewhere', pid: 7, incarnation: '' };
    await fixture.client.set('vault:{meta}:lock', `forged ${JSON.stringify(identity)}`);
    await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
  }, 60_000);
});

/** Tells of each line as it is written. */
class TellingLogger extends RecordingLogger {
  readonly events = new EventEmitter();
  override info(message: string, data = {}): void {
    super.info(message, data);
    this.events.emit('info', message);
  }
  override error(message: string, data = {}): void {
    super.error(message, data);
    // The name `error` would throw where nobody listens.
    this.events.emit('fault', message);
  }
}

describe('a process that nobody calls', () => {
  it('says when Redis went, and when it came back, once each', async () => {
    const logger = new TellingLogger();
    await fixture.using({ logger }, async () => {
      logger.lines.length = 0;
      const went = once(logger.events, 'fault');
      await fixture.redis.kill();
      expect(await went).toEqual(['Redis cannot be used: calls fail until it can']);
      const back = once(logger.events, 'info');
      await fixture.redis.restart();
      expect(await back).toEqual(['Redis can be used again']);
    });
    const lines = logger.lines.filter(({ message }) => message.startsWith('Redis can'));
    expect(lines.map(({ level }) => level)).toEqual(['error', 'info']);
    expect(lines[0]?.data).toMatchObject({ cause: expect.stringContaining('reached') });
  }, 30_000);

  it('says nothing of Redis where it ends before it', async () => {
    const logger = new TellingLogger();
    await fixture.using({ logger }, () => Promise.resolve());
    await fixture.redis.kill();
    expect(logger.lines.filter(({ message }) => message.startsWith('Redis can'))).toEqual([]);
  });
});
