/**
 * `vault-server keys add-half-a` and `add-half-b`: lines of a half that was lost and found go into its place,
 * whatever that is, from standard input: tools such as `xenstore-write` take them as arguments, which everybody
 * on the machine can read in the list of processes.
 */
import { HALF_VALUE_MAX_BYTES, KeystoreError, destroyLines, parseHalfValue } from '@vault/keystore';
import type { HalfLine, HalfSource, LabelledHalf } from '@vault/keystore';
import { halfSourcesOf } from '../config/custody-config.js';
import type { ServerConfig } from '../config/load-config.js';
import type { ExitReason } from './exit-status.js';
import { SecretInputError } from './secret-input.js';
import { sourcesFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

export async function addHalf(
  surroundings: Surroundings,
  { settings }: ServerConfig,
  half: 'halfA' | 'halfB',
): Promise<ExitReason> {
  const sources = await halfSourcesOf(settings, sourcesFor(surroundings, settings.datadir));
  const lines = await givenLines(surroundings);
  try {
    const added = await addLines(sources[half], lines);
    surroundings.writeOut(
      added.length === 0
        ? `${sources[half].place} has each of these lines already.\n`
        : `The half of key ${added.join(', ')} is in ${sources[half].place}: restart the server.\n`,
    );
    return 'ok';
  } catch (error) {
    if (!(error instanceof KeystoreError)) throw error;
    surroundings.writeError(`Nothing more was added: ${error.message}\n`);
    return 'failed';
  } finally {
    destroyLines(lines);
  }
}

/** @throws {SecretInputError} saying what was expected, never what was given */
async function givenLines({ secretInput }: Surroundings): Promise<readonly LabelledHalf[]> {
  const bytes = await secretInput.whole('the half', HALF_VALUE_MAX_BYTES);
  const { lines, flaw } = parseHalfValue(bytes);
  bytes.fill(0);
  const labelled = lines.filter(isLabelled);
  if (flaw === undefined && labelled.length > 0 && labelled.length === lines.length) {
    return labelled;
  }
  destroyLines(lines);
  throw new SecretInputError(
    flaw === undefined
      ? 'the half: expected lines of the form <key id>:<64 hex digits> on standard input; `vault-server status` names the key id that is needed'
      : `the half: what is on standard input is no value of a half: ${flaw}`,
  );
}

const isLabelled = (line: HalfLine): line is HalfLine & LabelledHalf => line.keyId !== undefined;

/** Beside what is there: nothing is replaced. @returns ids of the keys whose lines are new there */
async function addLines(source: HalfSource, lines: readonly LabelledHalf[]): Promise<string[]> {
  const reading = await source.read();
  const standing = 'lines' in reading ? reading.lines : [];
  try {
    const missing = lines.filter(
      ({ keyId, half }) => !standing.some((line) => line.keyId === keyId && line.half.equals(half)),
    );
    // oxlint-disable-next-line no-await-in-loop -- one place, and the next line goes behind this one
    for (const line of missing) await source.append(line);
    return missing.map(({ keyId }) => keyId);
  } finally {
    destroyLines(standing);
  }
}
