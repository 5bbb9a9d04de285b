/** From `[keystore]` to the keeper of both halves. */
import type { KeyId } from '@vault/crypto';
import { createHalfSource, defaultPair, KeystoreError, SplitKeystore } from '@vault/keystore';
import type { CustodyReport, HalfSource, SourceEnvironment } from '@vault/keystore';
import { ConfigError } from './errors.js';
import type { Settings } from './settings.js';

export interface ConfiguredCustody {
  readonly custody: SplitKeystore;
  /** Sentences for the log. */
  readonly warnings: readonly string[];
}

/** Where the halves are. */
export interface HalfSources {
  readonly halfA: HalfSource;
  readonly halfB: HalfSource;
  /** Sentences for the log. */
  readonly warnings: readonly string[];
}

/**
 * @throws {ConfigError} when a half source is configured wrongly, or both are at one place
 */
export async function custodyOf(
  settings: Pick<Settings, 'keystore.halfA' | 'keystore.halfB'>,
  environment: SourceEnvironment,
): Promise<ConfiguredCustody> {
  const { halfA, halfB, warnings } = await halfSourcesOf(settings, environment);
  return { custody: configured(() => new SplitKeystore({ halfA, halfB })), warnings };
}

/** @throws {ConfigError} when a half source is configured wrongly */
export async function halfSourcesOf(
  settings: Pick<Settings, 'keystore.halfA' | 'keystore.halfB'>,
  environment: SourceEnvironment,
): Promise<HalfSources> {
  const { 'keystore.halfA': configuredA, 'keystore.halfB': configuredB } = settings;
  const warnings: string[] = [];
  let configA: unknown = configuredA;
  if (configA === undefined) {
    const { halfA, reason } = await defaultPair(environment);
    configA = halfA;
    warnings.push(
      `keystore.halfA is not configured: "${halfA.source}" is used, since ${reason}; write it into the configuration`,
    );
  }
  return configured(() => ({
    halfA: createHalfSource(configA, environment, 'keystore.halfA'),
    halfB: halfBOf(configuredB, environment),
    warnings,
  }));
}

function halfBOf(config: unknown, environment: SourceEnvironment): HalfSource {
  return createHalfSource(config ?? { source: 'file' }, environment, 'keystore.halfB');
}

/** @throws {ConfigError} for what the keystore refuses */
function configured<Made>(make: () => Made): Made {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof KeystoreError)) throw error;
    throw new ConfigError('CONFIG_TYPE', error.message);
  }
}

/**
 * Looks at what `[keystore]` says, and at nothing beside: no half is read.
 * @throws {ConfigError} when a half source is configured wrongly, or both are at one place
 */
export function checkKeystore(
  settings: Pick<Settings, 'keystore.halfA' | 'keystore.halfB'>,
  environment: SourceEnvironment,
): void {
  const { 'keystore.halfA': halfA, 'keystore.halfB': halfB } = settings;
  configured(() => {
    const b = halfBOf(halfB, environment);
    if (halfA === undefined) return b;
    return new SplitKeystore({
      halfA: createHalfSource(halfA, environment, 'keystore.halfA'),
      halfB: b,
    });
  });
}

/**
 * The keys as they are now, for whoever asks beside the open database.
 * @param activeKeyId of that database: its halves are ours, labelled or not
 */
export async function loadKeysOf(
  settings: Pick<Settings, 'keystore.halfA' | 'keystore.halfB'>,
  environment: SourceEnvironment,
  activeKeyId: KeyId | null,
): Promise<CustodyReport> {
  const { custody } = await custodyOf(settings, environment);
  if (activeKeyId !== null) custody.admit([activeKeyId]);
  return custody.load();
}
