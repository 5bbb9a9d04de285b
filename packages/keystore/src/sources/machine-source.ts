/**
 * `machine`: the half is derived, never stored: PBKDF2-HMAC-SHA256 (RFC 8018 §5.2) over what the
 * machine is called, with a secret salt of 32 bytes in a file of its own. Machine identity is no
 * secret; the salt is what makes this a half.
 */
import { pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { KEY_HALF_BYTES, KeyHalf, lengthPrefixed } from '@vault/crypto';
import { KeystoreError } from '../errors.js';
import type { Artefact, HalfReading, HalfSource } from '../half-source.js';
import { diskArtefacts } from '../internal/disk-artefacts.js';
import { readMachineIdentity } from '../internal/machine-identity.js';
import type { MachineIdentity } from '../internal/machine-identity.js';
import { SecretFile } from '../internal/secret-file.js';
import type { FileOwner } from '../internal/secret-file.js';

export const MACHINE_PARTS = ['machine-id', 'hostname', 'user', 'os'] as const;
export type MachinePart = (typeof MACHINE_PARTS)[number];

/** Both survive an upgrade of the operating system and a new host name. */
export const DEFAULT_MACHINE_PARTS: readonly MachinePart[] = ['machine-id', 'user'];

/** What Conexor uses, and the least that is accepted. */
export const MACHINE_ITERATIONS_MIN = 100_000;
/** OWASP's figure for PBKDF2-HMAC-SHA256; about 0.2 s a start. */
export const DEFAULT_MACHINE_ITERATIONS = 600_000;

export interface MachineSourceOptions {
  /** Absolute; outside the data folder. */
  readonly saltPath: string;
  /**
   * `parts` (default): `"vault/v1/machine" ‖ lp(part name) ‖ lp(value) …` of {@link parts}.
   * `conexor`: `MachineName:UserName:OSDescription`, as .NET gives them; does not survive an upgrade
   * of the operating system.
   */
  readonly recipe?: 'parts' | 'conexor';
  /** In this order. Default: machine-id, user. */
  readonly parts?: readonly MachinePart[];
  /** At least 100 000. Default: 600 000. */
  readonly iterations?: number;
  /** In place of what this machine says of its operating system. */
  readonly osDescription?: string;
  readonly owner: FileOwner;
  /** Default: asks the operating system. */
  readonly readIdentity?: () => Promise<MachineIdentity>;
}

const SALT_BYTES = 32;
const derive = promisify(pbkdf2);

export class MachineSource implements HalfSource {
  readonly source = 'machine';
  readonly isWritable = false;
  readonly isShared = false;
  readonly comparesAndSwaps = false;
  readonly place: string;
  readonly #options: MachineSourceOptions;
  readonly #salt: SecretFile;

  constructor(options: MachineSourceOptions) {
    this.#options = options;
    this.#salt = new SecretFile(options.saltPath, options.owner, SALT_BYTES);
    this.place = `salt ${options.saltPath}`;
  }

  artefacts(): Promise<readonly Artefact[]> {
    return diskArtefacts(this.#options.saltPath, this.#options.owner.fileSystem);
  }

  async read(): Promise<HalfReading> {
    const raw = await this.#salt.read();
    if (raw.status === 'corrupt') return { ...raw, reason: `the salt: ${raw.reason}`, lines: [] };
    if (raw.status === 'unreadable') return { ...raw, reason: `the salt: ${raw.reason}` };
    if (raw.status === 'missing') return raw;
    try {
      if (raw.value.length !== SALT_BYTES) {
        const reason = `the salt: expected ${SALT_BYTES} bytes, met ${raw.value.length}`;
        return { status: 'corrupt', reason, lines: [] };
      }
      return await this.#derive(raw.value);
    } finally {
      raw.value.fill(0);
    }
  }

  async #derive(salt: Buffer): Promise<HalfReading> {
    const identity = await (this.#options.readIdentity ?? readMachineIdentity)();
    const password = this.#password(identity);
    if (password === undefined) {
      const reason = 'this machine has no machine-id: configure other parts, such as ["user"]';
      return { status: 'unreadable', reason };
    }
    const iterations = this.#options.iterations ?? DEFAULT_MACHINE_ITERATIONS;
    const saltCopy = Uint8Array.from(salt);
    const bytes = await derive(password, saltCopy, iterations, KEY_HALF_BYTES, 'sha256');
    try {
      return { status: 'found', lines: [{ keyId: undefined, half: KeyHalf.fromBytes(bytes) }] };
    } finally {
      bytes.fill(0);
      saltCopy.fill(0);
    }
  }

  #password(identity: MachineIdentity): Buffer<ArrayBuffer> | undefined {
    const values: Record<MachinePart, string | undefined> = {
      'machine-id': identity.machineId,
      hostname: identity.hostName,
      user: identity.userName,
      os: this.#options.osDescription ?? identity.osDescription,
    };
    if (this.#options.recipe === 'conexor') {
      return Buffer.from(`${values.hostname}:${values.user}:${values.os}`, 'utf8');
    }
    const fields: Uint8Array[] = [Buffer.from('vault/v1/machine')];
    for (const part of this.#options.parts ?? DEFAULT_MACHINE_PARTS) {
      const value = values[part];
      if (value === undefined) return undefined;
      fields.push(lengthPrefixed(part), lengthPrefixed(value));
    }
    return Buffer.concat(fields);
  }

  writeRefusal(): Promise<string | undefined> {
    return Promise.resolve('a half derived from the machine cannot be changed by the server');
  }

  append(): Promise<void> {
    return Promise.reject(
      new KeystoreError('HALF_NOT_WRITABLE', `machine ${this.place} is read-only`),
    );
  }

  remove(): Promise<void> {
    return this.append();
  }

  /** Makes the salt when there is none; one that is there, whatever is in it, stays. @throws KeystoreError */
  async initialise(): Promise<void> {
    const salt = randomBytes(SALT_BYTES);
    try {
      await this.#salt.create(salt);
    } finally {
      salt.fill(0);
    }
  }
}
