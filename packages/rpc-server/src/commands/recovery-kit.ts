/** `vault-server recovery-kit create|verify|restore`: the key in one file, for the day on which a half is lost. */
import { VaultKey } from '@vault/crypto';
import { KeystoreError } from '@vault/keystore';
import type { HalfPair, SplitKeystore } from '@vault/keystore';
import { DegradedError, RedisUnavailableError, underMigrationLock } from '@vault/redis-store';
import type { DatabaseStatus, OpenOptions } from '@vault/redis-store';
import { readFileSync } from 'node:fs';
import { PASSPHRASE_CHARACTERS_MIN } from '../backup/limits.js';
import { readRecipientKey } from '../backup/open-pgp.js';
import type { BackupProtection } from '../backup/open-pgp.js';
import { custodyOf } from '../config/custody-config.js';
import type { ServerConfig } from '../config/load-config.js';
import { openOptions } from '../open-database.js';
import { readKitFile, writeKitFile } from '../recovery/kit-file.js';
import type { NewKit } from '../recovery/kit-file.js';
import { readKitState, writeKitState } from '../recovery/kit-state.js';
import type { KitState } from '../recovery/kit-state.js';
import { provePair } from '../recovery/prove-pair.js';
import type { PairProof } from '../recovery/prove-pair.js';
import { RecoveryKitError } from '../recovery/errors.js';
import { destroyPair } from '../recovery/recovery-kit.js';
import type { KitFacts, RecoveryKit } from '../recovery/recovery-kit.js';
import { toolLogger, withDatabase, withRedis } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, textOption } from './command.js';
import type { Command, CommandArguments } from './command.js';
import type { ExitReason } from './exit-status.js';
import { secretFromFile, SecretInputError } from './secret-input.js';
import { configFor, sourcesFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

/** What an action works with. */
interface Work {
  readonly surroundings: Surroundings;
  readonly config: ServerConfig;
  readonly args: CommandArguments;
}

const ACTIONS = {
  create: createKit,
  verify: verifyKit,
  restore: restoreKit,
} as const satisfies Record<string, (work: Work) => Promise<ExitReason>>;

export const RECOVERY_KIT: Command = {
  names: ['recovery-kit'],
  positionals: {
    form: '<action> [kit]',
    rows: {
      action: {
        choices: Object.keys(ACTIONS),
        describe:
          'create: write a kit and prove it; verify: prove that a kit opens the database of today; restore: put back each half that is missing, overwriting nothing',
      },
      kit: { type: 'string', describe: 'File to verify or restore; - for standard input' },
    },
  },
  summary: 'Keep the key in one OpenPGP file, for the day on which a half is lost',
  options: {
    ...CONFIG_OPTIONS,
    output: {
      type: 'string',
      requiresArg: true,
      describe: 'create: file to write; never one that is there',
    },
    'passphrase-file': {
      type: 'string',
      requiresArg: true,
      describe:
        'File, closed to group and others, whose one line is the passphrase (default: it is asked for)',
    },
    recipient: {
      type: 'string',
      requiresArg: true,
      describe: 'create: encrypt for this armored OpenPGP public key instead of a passphrase',
    },
    unproven: {
      type: 'boolean',
      default: false,
      describe: 'restore: although it cannot be proven that the kit opens the database',
    },
  },
  examples: [
    [
      '$0 recovery-kit create --output kit.pgp',
      'Asks for a passphrase; keep the file far from here',
    ],
    ['$0 recovery-kit verify kit.pgp', 'Does it open the database of today?'],
    ['$0 recovery-kit restore kit.pgp', 'Put back what is missing; then restart the server'],
    ['gpg --decrypt kit.pgp | $0 recovery-kit restore -', 'A kit for a public key'],
  ],
  run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    const action = textOption(args, 'action') as keyof typeof ACTIONS;
    return ACTIONS[action]({ surroundings, config, args });
  },
};

async function createKit(work: Work): Promise<ExitReason> {
  const { surroundings, config, args } = work;
  const output = textOption(args, 'output');
  if (output === undefined) throw new SecretInputError('recovery-kit create needs --output <file>');
  const custody = await custodyFor(work);
  const status = await withDatabase(surroundings, config, (database) => database.status());
  const { activeKeyId, state } = status;
  if (activeKeyId === null || state !== 'encrypted') {
    throw new RecoveryKitError(
      'KIT_REFUSED',
      `a kit is made of an encrypted database that is at rest; this one is ${state}`,
    );
  }
  const protection = await protectionFor(work);
  const pair = await custody.exportPair(activeKeyId);
  if (pair === undefined)
    throw new RecoveryKitError('KIT_REFUSED', `the halves of key ${activeKeyId} are gone`);
  const kit: NewKit = { pair, facts: factsOf(status, config), protection };
  try {
    const proof = await withOptions(work, (options) => writeProven(output, kit, options));
    await noteProof(work, pair, {
      keyId: activeKeyId,
      createdAt: kit.facts.createdAt,
      provenAt: new Date().toISOString(),
      protection: 'passphrase' in protection ? 'passphrase' : 'public key',
    });
    surroundings.writeOut(
      `Recovery kit of key ${activeKeyId} written to ${output}\n${proofText(proof)}\n${PROOF_WAYS['passphrase' in protection ? 'passphrase' : 'recipient']}\nKeep it apart from the server and its backups. A rotation makes a new one due.\n`,
    );
    return 'ok';
  } finally {
    destroyPair(pair);
  }
}

const PROOF_WAYS = {
  passphrase: 'The file was read back and opened with its passphrase.',
  recipient:
    'Its halves were proven before they were encrypted. The file itself only the holder of the secret key can open and prove: gpg --decrypt <file> | vault-server recovery-kit verify -',
} as const;

function factsOf({ databaseId, halves }: DatabaseStatus, { settings }: ServerConfig): KitFacts {
  const [halfA, halfB] = halves.halves.map(({ source, place }) => ({ source, place }));
  if (halfA === undefined || halfB === undefined) throw new TypeError('expected two halves');
  const createdAt = new Date().toISOString();
  return { createdAt, databaseId, prefix: settings['redis.prefix'], halfA, halfB };
}

/** The pair is proven before it is written and, where we can open the file, what the file holds after. */
async function writeProven(output: string, kit: NewKit, options: OpenOptions): Promise<PairProof> {
  let proof = await provePair(kit.pair, options);
  await writeKitFile(output, kit, async (written) => {
    if (written !== undefined) proof = await provePair(written.pair, options);
  });
  return proof;
}

async function verifyKit(work: Work): Promise<ExitReason> {
  const kit = await openKit(work);
  try {
    const proof = await withOptions(work, (options) => provePair(kit.pair, options));
    await noteProof(work, kit.pair, {
      keyId: kit.pair.keyId,
      createdAt: kit.createdAt,
      provenAt: new Date().toISOString(),
      protection: 'unknown',
    });
    work.surroundings.writeOut(
      `The recovery kit of key ${kit.pair.keyId}, made ${kit.createdAt}, opens the database.\n${proofText(proof)}\n`,
    );
    return 'ok';
  } finally {
    destroyPair(kit.pair);
  }
}

async function restoreKit(work: Work): Promise<ExitReason> {
  const { surroundings, args } = work;
  const kit = await openKit(work);
  try {
    const custody = await custodyFor(work);
    const restored =
      args['unproven'] === true
        ? await restoreUnproven(work, custody, kit)
        : await withOptions(work, (options) =>
            underMigrationLock(options, async () => {
              const proof = proofText(await provePair(kit.pair, options));
              return restoreHalves(custody, kit, proof);
            }),
          );
    surroundings.writeOut(restored);
    return 'ok';
  } finally {
    destroyPair(kit.pair);
  }
}

const UNPROVEN = 'It was not proven that it opens the database.';
const UNLOCKED =
  'Redis could not be asked whether another command changes the halves now: look at them again before you go on.';

/** Where Redis is not back yet nobody can hold its lock. */
async function restoreUnproven(
  work: Work,
  custody: SplitKeystore,
  kit: RecoveryKit,
): Promise<string> {
  let isLocked = false;
  try {
    return await withOptions(work, (options) =>
      underMigrationLock(options, () => {
        isLocked = true;
        return restoreHalves(custody, kit, UNPROVEN);
      }),
    );
  } catch (error) {
    const isAway = error instanceof RedisUnavailableError || error instanceof DegradedError;
    if (isLocked || !isAway) throw error;
    return restoreHalves(custody, kit, `${UNPROVEN}\n${UNLOCKED}`);
  }
}

/** @returns what to say of it */
async function restoreHalves(
  custody: SplitKeystore,
  { pair, halfA, halfB }: RecoveryKit,
  proof: string,
): Promise<string> {
  const before = await statusOfHalves(custody);
  try {
    await custody.restorePair(pair);
  } catch (error) {
    if (!(error instanceof KeystoreError)) throw error;
    throw new RecoveryKitError(
      'KIT_REFUSED',
      `${error.message}. The kit says: half A belongs to ${halfA.source} ${halfA.place}, half B to ${halfB.source} ${halfB.place}; where that place is gone, configure another one that can be written (file), and restore again`,
    );
  }
  return `Halves before: ${before}.\nHalves now:    ${await statusOfHalves(custody)}.\nKey ${pair.keyId} is whole. ${proof}\nNow restart the server.\n`;
}

function proofText({ record }: PairProof): string {
  return record === undefined
    ? 'Proven: it opens the database, which has no record yet.'
    : `Proven: with it alone the database was opened, and ${record.collection} ${record.id} was read.`;
}

async function statusOfHalves(custody: SplitKeystore): Promise<string> {
  const { halves, ring } = await custody.load();
  for (const id of ring.ids) ring.byId(id)?.destroy();
  return halves
    .map(({ half, status, keyIds }) => `${half} ${[status, ...keyIds].join(' ')}`)
    .join(', ');
}

async function custodyFor({ surroundings, config }: Work): Promise<SplitKeystore> {
  const { settings } = config;
  return (await custodyOf(settings, sourcesFor(surroundings, settings.datadir))).custody;
}

async function withOptions<Result>(
  { surroundings, config }: Work,
  use: (options: OpenOptions) => Promise<Result>,
): Promise<Result> {
  return withRedis(surroundings, config, async (redis) =>
    use(
      await openOptions({
        config,
        redis,
        role: 'tool',
        sources: sourcesFor(surroundings, config.settings.datadir),
        logger: toolLogger(surroundings, config),
      }),
    ),
  );
}

async function protectionFor({ surroundings, args }: Work): Promise<BackupProtection> {
  const recipient = textOption(args, 'recipient');
  const file = textOption(args, 'passphrase-file');
  if (recipient === undefined) {
    const passphrase = await passphraseFor(surroundings, file, true);
    if (Array.from(passphrase).length >= PASSPHRASE_CHARACTERS_MIN) return { passphrase };
    throw new SecretInputError(
      `the passphrase of a recovery kit has at least ${PASSPHRASE_CHARACTERS_MIN} characters`,
    );
  }
  if (file !== undefined) throw new SecretInputError('give --recipient or --passphrase-file');
  try {
    const recipientKey = readFileSync(recipient, 'utf8');
    await readRecipientKey(recipientKey);
    return { recipientKey };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new SecretInputError(`--recipient ${recipient}: ${code ?? message}`);
  }
}

async function passphraseFor(
  { secretInput }: Surroundings,
  file: string | undefined,
  isNew: boolean,
): Promise<string> {
  if (file !== undefined) return secretFromFile('--passphrase-file', file);
  return secretInput.ask('passphrase', isNew);
}

async function openKit({ surroundings, args }: Work): Promise<RecoveryKit> {
  const kit = textOption(args, 'kit');
  if (kit === undefined) {
    throw new SecretInputError(`recovery-kit ${String(args['action'])} needs the file of the kit`);
  }
  // A lone `-` reaches us empty.
  if (kit === '' || kit === '-') return readKitFile(surroundings.secretInput.bytes(), undefined);
  const file = textOption(args, 'passphrase-file');
  return readKitFile(kit, () => passphraseFor(surroundings, file, false));
}

/** Remembers that a kit was proven; keeps what opens it from an earlier note of the same kit. */
async function noteProof({ config }: Work, pair: HalfPair, proven: KitState): Promise<void> {
  const { datadir } = config.settings;
  const key = VaultKey.derive(pair.halfA, pair.halfB);
  try {
    const ring = { ids: [key.id], byId: () => key };
    const known = await readKitState(datadir, ring);
    const isSame = known?.createdAt === proven.createdAt;
    const protection = isSame ? known.protection : proven.protection;
    await writeKitState(datadir, { ...proven, protection }, key);
  } finally {
    key.destroy();
  }
}
