/** Questions to the running server over its local socket, which only its user and root can open. */
import { request } from 'node:http';

/** A half in a secret manager takes some seconds to be read and written. */
const ANSWER_WITHIN_MS = 120_000;
const ANSWER_MAX_BYTES = 65_536;

/** @throws NodeJS.ErrnoException where no server answers there */
export function askLocally<Answer extends object>(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
): Promise<Answer | { readonly message: string }> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, path, method, timeout: ANSWER_WITHIN_MS };
    const asking = request({ ...options, headers: { host: 'localhost' } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text = (text + chunk).slice(0, ANSWER_MAX_BYTES);
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve(JSON.parse(text) as Answer);
        } catch {
          resolve({ message: `the server answered ${response.statusCode ?? 'nothing'}` });
        }
      });
    });
    asking.on('timeout', () => asking.destroy(new Error('no answer')));
    asking.on('error', reject);
    asking.end();
  });
}
