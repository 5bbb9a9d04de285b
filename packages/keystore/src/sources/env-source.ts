/** `env`: a master key in an environment variable, as Conexor keeps it; earlier ones in a second variable. */
import { KEY_HALF_BYTES } from '@vault/crypto';
import type { KeyHalf } from '@vault/crypto';
import { KeystoreError } from '../errors.js';
import { destroyLines } from '../half-source.js';
import type { Artefact, HalfLine, HalfReading, HalfSource } from '../half-source.js';
import { halfFromBytes } from '../internal/half-from-bytes.js';
import { decodeHex } from '../internal/hex-bytes.js';

export interface EnvSourceOptions {
  /** Holds the current secret: base64 or base64url of 32 bytes, or 64 hex digits. */
  readonly variable: string;
  /** Holds earlier ones, comma separated, oldest first; may be unset. */
  readonly previousVariable: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/;
/** Each is tried against every line of the other half. */
const PREVIOUS_MAX = 15;

export class EnvSource implements HalfSource {
  readonly source = 'env';
  readonly isWritable = false;
  /** Nothing is written here, so there is nothing to share. */
  readonly isShared = false;
  readonly comparesAndSwaps = false;
  readonly place: string;
  readonly #options: EnvSourceOptions;

  constructor(options: EnvSourceOptions) {
    this.#options = options;
    this.place = options.variable;
  }

  /** Where the environment of a process is kept (unit file, orchestrator, …) cannot be told from inside. */
  artefacts(): Promise<readonly Artefact[]> {
    return Promise.resolve([]);
  }

  read(): Promise<HalfReading> {
    const { variable, previousVariable, variables } = this.#options;
    const current = variables[variable];
    const previous = variables[previousVariable];
    if (current === undefined) {
      if (previous === undefined) return Promise.resolve({ status: 'missing' });
      const reason = `${previousVariable} is set, but ${variable} is not`;
      return Promise.resolve({ status: 'corrupt', reason, lines: [] });
    }
    const texts = previous === undefined || previous.trim() === '' ? [] : previous.split(',');
    return Promise.resolve(this.#readingOf([...texts, current]));
  }

  writeRefusal(): Promise<string | undefined> {
    return Promise.resolve(
      `an environment variable cannot be written by the server: to change it, put the new key in ${this.#options.variable} and the old one in ${this.#options.previousVariable}, and restart`,
    );
  }

  append(): Promise<void> {
    return Promise.reject(new KeystoreError('HALF_NOT_WRITABLE', `env ${this.place} is read-only`));
  }

  remove(): Promise<void> {
    return this.append();
  }

  #readingOf(texts: readonly string[]): HalfReading {
    const { variable, previousVariable } = this.#options;
    if (texts.length > PREVIOUS_MAX + 1) {
      const reason = `expected at most ${PREVIOUS_MAX} keys in ${previousVariable}, met ${texts.length - 1}`;
      return { status: 'corrupt', reason, lines: [] };
    }
    const lines: HalfLine[] = [];
    for (const [index, text] of texts.entries()) {
      const half = decodeSecret(text.trim());
      if (half === undefined) {
        destroyLines(lines);
        const name =
          index === texts.length - 1 ? variable : `key ${index + 1} of ${previousVariable}`;
        const reason = `${name} is not base64 of ${KEY_HALF_BYTES} bytes (it has ${text.trim().length} characters)`;
        return { status: 'corrupt', reason, lines: [] };
      }
      const isPrevious = index < texts.length - 1;
      lines.push({ keyId: undefined, half, ...(isPrevious && { place: previousVariable }) });
    }
    return { status: 'found', lines };
  }
}

function decodeSecret(text: string): KeyHalf | undefined {
  const digits = Buffer.from(text, 'latin1');
  const bytes = decodeBase64(text) ?? decodeHex(digits);
  digits.fill(0);
  if (bytes === undefined) return undefined;
  const half = halfFromBytes(bytes);
  bytes.fill(0);
  return half;
}

/** Only what an encoder writes: `Buffer.from` alone would skip foreign characters and ignore stray bits. */
function decodeBase64(text: string): Buffer | undefined {
  if (!BASE64.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  const canonical = bytes.toString('base64url');
  const given = text.replace('=', '').replaceAll('+', '-').replaceAll('/', '_');
  return canonical === given ? bytes : undefined;
}
