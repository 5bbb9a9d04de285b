import { describe, expect, test } from '@jest/globals';
import { Xenstored } from '../../../test/harness/xenstored.js';
import { createHalfSource } from '../src/create-half-source.js';
import { defaultPair } from '../src/default-pair.js';
import { SplitKeystore } from '../src/split-keystore.js';
import { makePlace } from './source-environment.js';

describe('the default pair', () => {
  test('is xenstore and a file where a XenStore answers, and still is when it is down', async () => {
    const xenstored = await Xenstored.start();
    const { environment, folder } = makePlace({ XENSTORED_PATH: xenstored.socketPath });
    expect(await defaultPair(environment)).toEqual({
      halfA: { source: 'xenstore' },
      halfB: { source: 'file' },
      reason: 'a XenStore answers on this machine',
    });
    await xenstored.kill();
    const down = await defaultPair(environment);
    expect(down.halfA).toEqual({ source: 'xenstore' });
    expect(down.reason).toContain('ECONNREFUSED');
    await xenstored.stop();
    await folder.stop();
  });

  test('is the machine and a file where there is none, and gives keys', async () => {
    const { environment, folder } = makePlace({ XENSTORED_PATH: '/no/such/socket' });
    const pair = await defaultPair(environment);
    expect(pair).toMatchObject({ halfA: { source: 'machine' }, halfB: { source: 'file' } });
    const keystore = new SplitKeystore({
      halfA: createHalfSource(pair.halfA, environment),
      halfB: createHalfSource(pair.halfB, environment),
    });
    const key = await keystore.append();
    expect((await keystore.load()).ring.ids).toEqual([key.id]);
    await folder.stop();
  });
});

describe('a keystore of xenstore and file', () => {
  test('appends, loads, removes; the half is in neither when it is gone', async () => {
    const xenstored = await Xenstored.start();
    const { environment, folder } = makePlace({ XENSTORED_PATH: xenstored.socketPath });
    const keystore = new SplitKeystore({
      halfA: createHalfSource({ source: 'xenstore' }, environment),
      halfB: createHalfSource({ source: 'file' }, environment),
    });
    const key = await keystore.append();
    const report = await keystore.load();
    expect(report).toMatchObject({ state: 'paired', ring: { ids: [key.id] } });
    expect(report.custodyWarnings).toHaveLength(1);
    await xenstored.restart(); // it forgets everything
    expect(await keystore.load()).toMatchObject({ state: 'one' });
    await xenstored.kill();
    expect(await keystore.load()).toMatchObject({ state: 'unreadable' });
    expect(await keystore.appendRefusal()).toContain('half A (xenstore');
    await xenstored.restart();
    await keystore.remove(key.id);
    expect(await keystore.load()).toMatchObject({ state: 'none' });
    await xenstored.stop();
    await folder.stop();
  });
});
