/** What a first start prints: the administrator, and what to try next. */
import { join } from 'node:path';
import { INITIAL_PASSWORD_FILE } from './initial-password.js';
import type { FirstAdministrator } from './session/first-administrator.js';

/** Where a server began. */
export interface FirstStart {
  readonly url: string;
  readonly dataDir: string;
  /** Whether a generated password may be among the lines, beside the file that it was written to. */
  readonly mayShow: boolean;
}

/** @returns lines for standard output; none where no administrator was created */
export function firstSteps(
  created: FirstAdministrator | undefined,
  { url, dataDir, mayShow }: FirstStart,
): readonly string[] {
  if (created === undefined) return [];
  const { email, generatedPassword } = created;
  const file = join(dataDir, INITIAL_PASSWORD_FILE);
  const password =
    generatedPassword === undefined
      ? ['  password  as given in VAULT_ADMIN_PASSWORD']
      : mayShow
        ? [
            `  password  ${generatedPassword}`,
            `It is shown this once, and stands in ${file} until you delete that file.`,
          ]
        : [`  password  in ${file}, until you delete that file`];
  return [
    '',
    'The first administrator was created:',
    `  name      ${email}`,
    ...password,
    '',
    'Try next:',
    `  npx vault-cli register ${url} ${email}`,
    '  npx vault-cli server.add host=192.0.2.10 username=root password=-',
    '  npx vault-cli server.getAll',
    '',
  ];
}
