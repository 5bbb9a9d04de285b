/** One schedule: processes of one database, their clients, what is done to the database meanwhile, and what goes wrong; all from a seed. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { KeyHalf } from '@vault/crypto';
import { CredentialDatabase, DegradedError, StoreError, staticCustody } from '@vault/redis-store';
import type { CollectionDefinitions, KeyCustody, OpenOptions } from '@vault/redis-store';
import type { Redis } from 'ioredis';
import { SeededRandom } from '../harness/seeded-random.js';
import { linearise } from './linearisability.js';
import type { HistoryOperation } from './linearisability.js';
import { recordsModel, shown } from './records-model.js';
import type { Fields, Input, Output, Records } from './records-model.js';
import type { VirtualProcess } from './virtual-process.js';
import { World } from './world.js';
import type { Fault } from './world.js';

const COLLECTIONS = {
  server: {
    fields: {
      host: { type: 'string', optional: false },
      group: { type: 'string' },
      label: { type: 'secret' },
    },
    indexes: {
      host: { kind: 'unique', fields: ['host'] },
      group: { kind: 'exact', fields: ['group'] },
    },
  },
} as const satisfies CollectionDefinitions;

const IDS = ['r0', 'r1', 'r2', 'r3'];
const HOSTS = ['h0', 'h1', 'h2'];
const GROUPS = ['g0', 'g1'];
/** Stands in every label: nothing but plaintext holds it. */
const MARKER = 'plain-marker';

/** What is done to the whole database while clients use it. */
export const OPERATIONS = [
  'none',
  'rotate',
  'rotate-twice',
  'import',
  'delete-inactive',
  'encrypt',
  'decrypt',
] as const;
export type OperationName = (typeof OPERATIONS)[number];

/** Whether records are encrypted before and after; `undefined`: either, and it stays so. */
const ENCRYPTED: Readonly<Record<OperationName, readonly [boolean, boolean] | undefined>> = {
  none: undefined,
  import: undefined,
  rotate: [true, true],
  'rotate-twice': [true, true],
  'delete-inactive': [true, true],
  encrypt: [false, true],
  decrypt: [true, false],
};

export interface Schedule {
  readonly seed: number;
  readonly operation: OperationName;
  readonly wasEncrypted: boolean;
  readonly isEncrypted: boolean;
  readonly processes: number;
  readonly callsPerClient: number;
  readonly clientsPerProcess: number;
  readonly faults: readonly Fault[];
}

const FAULT_KINDS = ['kill', 'sleep', 'lose-answer', 'lose-command', 'repeat'] as const;
/** Within the steps that a schedule takes without faults. */
const FAULT_STEPS = 400;
const STEPS_MAX = 20_000;

/** The schedule of a seed. */
export function scheduleOf(seed: number): Schedule {
  const random = new SeededRandom(seed, 'schedule');
  const operation = random.pick(OPERATIONS);
  const faults = Array.from({ length: random.below(4) }, () => ({
    kind: random.pick(FAULT_KINDS),
    atStep: random.below(FAULT_STEPS),
    victim: random.below(8),
  }));
  const either = random.chance(0.5);
  const [wasEncrypted, isEncrypted] = ENCRYPTED[operation] ?? [either, either];
  return {
    seed,
    operation,
    wasEncrypted,
    isEncrypted,
    processes: 1 + random.below(3),
    clientsPerProcess: 1 + random.below(2),
    callsPerClient: 3 + random.below(6),
    faults: faults.toSorted((a, b) => a.atStep - b.atStep),
  };
}

/** What a schedule showed. */
export interface Verdict {
  /** The records before it. */
  readonly initial: Records;
  readonly wrong: readonly string[];
  readonly trace: readonly string[];
  readonly history: readonly HistoryOperation<Input, Output>[];
}

/** Plays schedules one after the other on one Redis. */
export class ScheduleStage {
  readonly #admin: Redis;
  readonly #redis: OpenOptions['redis'];
  readonly #folder: string;
  #played = 0;

  constructor(parts: {
    readonly admin: Redis;
    readonly socketPath: string;
    readonly folder: string;
  }) {
    this.#admin = parts.admin;
    this.#redis = { socketPath: parts.socketPath };
    this.#folder = parts.folder;
  }

  async play(schedule: Schedule): Promise<Verdict> {
    await this.#admin.flushall();
    this.#played += 1;
    const run = new ScheduleRun(schedule, {
      admin: this.#admin,
      redis: this.#redis,
      folder: join(this.#folder, String(this.#played)),
    });
    return run.play();
  }
}

type Recorded = HistoryOperation<Input, Output>;

/** Whether one thing that does one call after the other could have told clients all that. */
export function isExplained(initial: Records, history: readonly Recorded[]): boolean {
  return linearise(recordsModel(initial), history) !== undefined;
}

class ScheduleRun {
  readonly #schedule: Schedule;
  readonly #admin: Redis;
  readonly #redis: OpenOptions['redis'];
  readonly #folder: string;
  readonly #custody: KeyCustody = staticCustody([KeyHalf.generate(), KeyHalf.generate()]);
  readonly #random: SeededRandom;
  readonly #history: Recorded[] = [];
  readonly #wrong: string[] = [];
  readonly #world: World;
  /** Programs under way, by the process that runs them. */
  readonly #running = new Set<VirtualProcess>();
  #initial: Records = new Map();
  #labels = 0;

  constructor(
    schedule: Schedule,
    parts: { readonly admin: Redis; readonly redis: OpenOptions['redis']; readonly folder: string },
  ) {
    this.#schedule = schedule;
    this.#admin = parts.admin;
    this.#redis = parts.redis;
    this.#folder = parts.folder;
    this.#random = new SeededRandom(schedule.seed, 'run');
    this.#world = new World({
      random: new SeededRandom(schedule.seed, 'world'),
      admin: parts.admin,
      faults: schedule.faults,
      startMs: Date.now(),
      killed: (process) => this.#restart(process),
    });
  }

  async play(): Promise<Verdict> {
    await this.#prepare();
    const { processes } = this.#schedule;
    for (let n = 0; n < processes; n++) this.#begin(`p${n}`, n === 0);
    try {
      await this.#world.run(() => this.#running.size === 0, STEPS_MAX);
    } catch (error) {
      this.#wrong.push(String(error));
    }
    await this.#world.end();
    await this.#examine();
    const { trace } = this.#world;
    return { initial: this.#initial, wrong: this.#wrong, trace, history: this.#history };
  }

  #options(name: string, encrypt = this.#schedule.isEncrypted): OpenOptions {
    const dataDir = join(this.#folder, name.replace(/'+$/, ''));
    mkdirSync(dataDir, { recursive: true });
    return {
      redis: this.#redis,
      collections: COLLECTIONS,
      custody: this.#custody,
      dataDir,
      encrypt,
    };
  }

  /** A database with two records; outside of the world. */
  async #prepare(): Promise<void> {
    const database = await CredentialDatabase.open(
      this.#options('p0', this.#schedule.wasEncrypted),
    );
    const initial = IDS.slice(0, 2).map((id, n) => {
      const fields = { host: HOSTS[n] ?? '', group: 'g0', label: `${MARKER}-${id}` };
      return [id, fields] as const;
    });
    for (const [id, fields] of initial)
      await database.collection('server').add({ ...fields }, { id });
    this.#initial = new Map(initial);
    if (this.#schedule.operation === 'delete-inactive') await database.rotateKey();
    await database.close();
  }

  #begin(name: string, isDriver: boolean): void {
    const process = this.#world.spawn(name);
    this.#running.add(process);
    process.run(() => {
      this.#program(process, isDriver)
        .catch((error: unknown) => {
          if (!isHonest(error))
            this.#wrong.push(`${name}: ${String(error)} ${JSON.stringify(error)}`);
        })
        .finally(() => this.#running.delete(process));
    });
  }

  /** The same machine starts the same program again. */
  #restart(process: VirtualProcess): void {
    this.#running.delete(process);
    this.#begin(`${process.name}'`, false);
  }

  async #program(process: VirtualProcess, isDriver: boolean): Promise<void> {
    const database = await CredentialDatabase.open({
      ...this.#options(process.name),
      onDegraded: (error) => this.#wrong.push(`${process.name} is degraded: ${error.message}`),
    });
    const { clientsPerProcess } = this.#schedule;
    const work = Array.from({ length: clientsPerProcess }, () => this.#client(process, database));
    if (isDriver) work.push(this.#operate(database, process));
    const failed = (await Promise.allSettled(work)).find(({ status }) => status === 'rejected');
    await database.close();
    if (failed?.status === 'rejected') throw failed.reason;
  }

  async #operate(database: CredentialDatabase, process: VirtualProcess): Promise<void> {
    await process.turn();
    switch (this.#schedule.operation) {
      case 'none':
      case 'encrypt':
      case 'decrypt':
        return;
      case 'rotate':
        await database.rotateKey();
        return;
      case 'rotate-twice':
        await database.rotateKey();
        await process.turn();
        await database.rotateKey();
        return;
      case 'delete-inactive':
        await database.deleteInactiveKeys();
        return;
      case 'import':
        await this.#import(database);
    }
  }

  /** Each record of an import is an upsert of its own; one that is new to clients, so that it contradicts no host. */
  async #import(database: CredentialDatabase): Promise<void> {
    const spool = await database.openImport();
    await spool.add('server', 'imported', { host: 'h9', group: 'g9', label: `${MARKER}-imported` });
    await database.import(spool);
  }

  async #client(process: VirtualProcess, database: CredentialDatabase): Promise<void> {
    for (let n = 0; n < this.#schedule.callsPerClient; n++) {
      // oxlint-disable no-await-in-loop -- a client calls when it was answered
      await process.turn();
      await this.#call(database, this.#chooseInput());
      // oxlint-enable no-await-in-loop
    }
  }

  #chooseInput(): Input {
    const random = this.#random;
    const id = random.pick(IDS);
    const label = `${MARKER}-${this.#labels++}`;
    const calls: readonly (() => Input)[] = [
      () => ({
        call: 'add',
        id,
        fields: { host: random.pick(HOSTS), group: random.pick(GROUPS), label },
      }),
      () => ({ call: 'set', id, label }),
      () => ({ call: 'swap', id, label, was: { host: '', group: '', label: '' } }),
      () => ({ call: 'remove', id }),
      () => ({ call: 'get', id }),
      () => ({ call: 'find', by: 'host', value: random.pick(HOSTS) }),
      () => ({ call: 'find', by: 'group', value: random.pick(GROUPS) }),
    ];
    return random.pick(calls)();
  }

  async #call(database: CredentialDatabase, chosen: Input): Promise<void> {
    const servers = database.collection('server');
    if (chosen.call !== 'swap') return this.#record(chosen, () => perform(database, chosen));
    const { id, label } = chosen;
    const read = await servers.get(id).catch(() => undefined);
    if (read === undefined) return undefined;
    const was = fieldsOf(read.record);
    return this.#record({ ...chosen, was }, async () => {
      await servers.set(id, { label }, { revision: read.revision });
      return 'done';
    });
  }

  /** Writes a call and its answer into the history; one that is never answered stays open. */
  async #record(input: Input, call: () => Promise<Output>): Promise<void> {
    const at = this.#history.length;
    const open: Recorded = {
      input,
      output: undefined,
      calledAt: this.#world.tick(),
      answeredAt: Infinity,
    };
    this.#history.push(open);
    try {
      const output = await call();
      this.#history[at] = { ...open, output, answeredAt: this.#world.tick() };
    } catch (error) {
      const code = error instanceof StoreError ? error.code : undefined;
      if (code === undefined || code === 'RECORD_UNREADABLE') {
        this.#wrong.push(`${JSON.stringify(input)}: ${String(error)}`);
      } else if (isAnswer(code)) {
        this.#history[at] = { ...open, output: code, answeredAt: this.#world.tick() };
      }
    }
  }

  /** A new process opens the database: everything is there that clients were told of. */
  async #examine(): Promise<void> {
    const database = await this.#openAgain();
    if (database === undefined) return;
    for (const id of IDS)
      await this.#record({ call: 'get', id }, () => perform(database, { call: 'get', id }));
    for (const value of HOSTS) {
      const input = { call: 'find', by: 'host', value } as const;
      await this.#record(input, () => perform(database, input));
    }
    if (!isExplained(this.#initial, this.#history)) {
      this.#wrong.push('the history cannot be put in order');
    }
    const report = await database.verify();
    if (!report.isSound) this.#wrong.push(`verify: ${JSON.stringify(report)}`);
    if (this.#schedule.isEncrypted) await this.#searchPlaintext();
    await database.close();
  }

  async #openAgain(): Promise<CredentialDatabase | undefined> {
    for (let n = 0; n < this.#schedule.processes; n++) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- the next machine only where this one may not
        const database = await CredentialDatabase.open(this.#options(`p${n}`));
        // oxlint-disable-next-line no-await-in-loop
        const failure = await database.settled();
        if (failure !== undefined) this.#wrong.push(`what is under way: ${failure.cause}`);
        return database;
      } catch (error) {
        const isElsewhere = error instanceof DegradedError && isBegunElsewhere(error);
        if (!isElsewhere) this.#wrong.push(`the next start: ${String(error)}`);
      }
    }
    this.#wrong.push('no machine opens the database');
    return undefined;
  }

  async #searchPlaintext(): Promise<void> {
    for (const key of await this.#admin.keys('*:r:*')) {
      if ((await this.#admin.get(key))?.includes(MARKER) === true) {
        this.#wrong.push(`${key} is plaintext`);
      }
    }
  }
}

async function perform(
  database: CredentialDatabase,
  input: Exclude<Input, { call: 'swap' }>,
): Promise<Output> {
  const servers = database.collection('server');
  switch (input.call) {
    case 'add':
      await servers.add({ ...input.fields }, { id: input.id });
      return 'done';
    case 'set':
      await servers.set(input.id, { label: input.label });
      return 'done';
    case 'remove':
      return String(await servers.remove(input.id));
    case 'get': {
      const found = await servers.get(input.id);
      return shown(found === undefined ? [] : [[input.id, fieldsOf(found.record)]]);
    }
    case 'find':
    default: {
      const found = await servers.find({ [input.by]: input.value });
      return shown(found.map(({ id, record }) => [id, fieldsOf(record)]));
    }
  }
}

function fieldsOf(record: Readonly<Record<string, unknown>>): Fields {
  const { host, group, label } = record;
  return { host: String(host), group: String(group), label: String(label) };
}

/** Codes that tell the client what is there. */
function isAnswer(code: string): boolean {
  return ['RECORD_EXISTS', 'UNIQUE_CONFLICT', 'RECORD_NOT_FOUND', 'REVISION_CONFLICT'].includes(
    code,
  );
}

/** A migration goes on only where its manifest lies, an import where its spool does. */
function isBegunElsewhere({ details: { advice = '', cause = '' } }: DegradedError): boolean {
  const isSpoolElsewhere = cause.startsWith('ENOENT') && cause.includes('.spool');
  return isSpoolElsewhere || advice.includes('in whose data folder the migration began');
}

/** What a process may give up with whatever goes wrong around it. */
function isHonest(error: unknown): boolean {
  if (error instanceof DegradedError) {
    const { cause = '' } = error.details;
    return (
      error.reason === 'redisUnusable' ||
      cause.startsWith('Redis cannot be reached') ||
      isBegunElsewhere(error)
    );
  }
  return (
    error instanceof StoreError &&
    ['REDIS_UNAVAILABLE', 'OPERATION_REFUSED', 'DATABASE_LOCKED', 'STATE_STALE'].includes(
      error.code,
    )
  );
}
