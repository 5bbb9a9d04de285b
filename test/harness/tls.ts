import { readFileSync, writeFileSync } from 'node:fs';
import { runOrThrow } from './program.js';
import type { Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';

/** A certificate authority with one server certificate (localhost, 127.0.0.1) and one client certificate, as files. */
export class TlsFiles implements Stoppable {
  readonly caFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  readonly #folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder) {
    this.#folder = folder;
    this.caFile = folder.join('ca.crt');
    this.serverCertFile = folder.join('server.crt');
    this.serverKeyFile = folder.join('server.key');
    this.clientCertFile = folder.join('client.crt');
    this.clientKeyFile = folder.join('client.key');
  }

  /** Makes them with openssl; they are valid for one day. */
  static async create(): Promise<TlsFiles> {
    const folder = new TemporaryFolder('vault-tls');
    const cwd = folder.path;
    const openssl = (command: string): Promise<string> =>
      runOrThrow('openssl', command.split(' '), { cwd });
    const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';
    try {
      await openssl(
        `req -x509 ${newKey} -days 1 -subj /CN=vault-test-ca -keyout ca.key -out ca.crt`,
      );
      writeFileSync(folder.join('server.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
      writeFileSync(folder.join('client.ext'), 'extendedKeyUsage=clientAuth\n');
      const issue = async (name: string): Promise<void> => {
        await openssl(`req ${newKey} -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`);
        await openssl(
          `x509 -req -in ${name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile ${name}.ext -out ${name}.crt`,
        );
      };
      await issue('server');
      await issue('client');
    } catch (error) {
      await folder.stop();
      throw error;
    }
    return new TlsFiles(folder);
  }

  /** Options of `tls.connect` (and of ioredis' `tls`) for a client that shows its certificate. */
  clientOptions(): { ca: Buffer; cert: Buffer; key: Buffer } {
    return {
      ca: readFileSync(this.caFile),
      cert: readFileSync(this.clientCertFile),
      key: readFileSync(this.clientKeyFile),
    };
  }

  async stop(): Promise<void> {
    await this.#folder.stop();
  }
}
