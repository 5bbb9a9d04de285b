import { Program, runProgram, runOrThrow, type ProgramResult } from './program.js';
import type { Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';

/** The real gpg with a home of its own; passphrases go over standard input, never on the command line. */
export class Gpg implements Stoppable {
  readonly #home = new TemporaryFolder('vault-gpg');

  /** Makes a key pair without passphrase. @returns its public key, armored */
  async createKey(userId: string): Promise<string> {
    await runOrThrow(
      'gpg',
      this.#args('--passphrase', '', '--quick-gen-key', userId, 'future-default'),
    );
    return runOrThrow('gpg', this.#args('--armor', '--export', userId));
  }

  /** Decrypts a file with a passphrase, or with a key that {@link createKey} made. The plaintext is in `stdout`. */
  async decrypt(file: string, passphrase?: string): Promise<ProgramResult> {
    const secret = passphrase === undefined ? [] : ['--passphrase-fd', '0'];
    return runProgram('gpg', this.#args(...secret, '--decrypt', file), { input: passphrase ?? '' });
  }

  /** Encrypts a file symmetrically to `output`. */
  async encrypt(file: string, output: string, passphrase: string): Promise<void> {
    const args = this.#args('--passphrase-fd', '0', '--output', output, '--symmetric', file);
    await runOrThrow('gpg', args, { input: passphrase });
  }

  /** `gpg --list-packets`: how a message is built (cipher, S2K, compression). */
  async listPackets(file: string, passphrase: string): Promise<ProgramResult> {
    const args = this.#args('--passphrase-fd', '0', '--list-packets', file);
    return runProgram('gpg', args, { input: passphrase });
  }

  async stop(): Promise<void> {
    const agent = Program.start('gpgconf', ['--homedir', this.#home.path, '--kill', 'all']);
    await agent.exited;
    await this.#home.stop();
  }

  #args(...args: readonly string[]): string[] {
    return [
      '--homedir',
      this.#home.path,
      '--batch',
      '--yes',
      '--pinentry-mode',
      'loopback',
      ...args,
    ];
  }
}
