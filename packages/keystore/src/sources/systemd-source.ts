/** `systemd`: a credential that the service manager gave (`LoadCredential=`, `LoadCredentialEncrypted=`). */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, KeystoreError } from '../errors.js';
import type { Artefact } from '../half-source.js';
import { HALF_VALUE_MAX_BYTES } from '../half-value.js';
import type { RawReading, ValuePlace } from '../value-place.js';

export interface SystemdSourceOptions {
  /** Name of the credential: one path component. */
  readonly credential: string;
  /** `$CREDENTIALS_DIRECTORY`; `undefined` when the service manager gave none. */
  readonly directory: string | undefined;
}

export class SystemdPlace implements ValuePlace {
  readonly source = 'systemd';
  readonly isWritable = false;
  readonly isShared = false;
  readonly comparesAndSwaps = false;
  readonly canCopyAside = false;
  readonly place: string;
  readonly parseOptions = { allowRaw: true } as const;
  readonly #options: SystemdSourceOptions;

  constructor(options: SystemdSourceOptions) {
    this.#options = options;
    this.place = `$CREDENTIALS_DIRECTORY/${options.credential}`;
  }

  /** The folder is in memory; what the unit loads it from cannot be told from inside. */
  artefacts(): Promise<readonly Artefact[]> {
    return Promise.resolve([]);
  }

  /** systemd makes the folder and sets its permissions (by access control lists), so they are not judged here. */
  async read(): Promise<RawReading> {
    const { directory, credential } = this.#options;
    if (directory === undefined) {
      const reason = 'CREDENTIALS_DIRECTORY is not set: the unit needs LoadCredential=';
      return { status: 'unreadable', reason };
    }
    const buffer = Buffer.alloc(HALF_VALUE_MAX_BYTES + 1);
    try {
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      const handle = await open(join(directory, credential), flags);
      try {
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
        if (bytesRead > HALF_VALUE_MAX_BYTES) {
          return {
            status: 'corrupt',
            reason: `expected at most ${HALF_VALUE_MAX_BYTES} bytes, met more`,
          };
        }
        return { status: 'value', value: Buffer.from(buffer.subarray(0, bytesRead)) };
      } finally {
        await handle.close();
      }
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT') return { status: 'missing' };
      return { status: 'unreadable', reason: `the credential cannot be read: ${errno}` };
    } finally {
      buffer.fill(0);
    }
  }

  writeRefusal(): Promise<string | undefined> {
    return Promise.resolve(
      'a systemd credential cannot be written by the server: change it where the unit loads it from',
    );
  }

  change(): Promise<void> {
    return Promise.reject(
      new KeystoreError('HALF_NOT_WRITABLE', `systemd ${this.place} is read-only`),
    );
  }
}
