/** What a first start prints: the administrator, and what to try next. */
import type { FirstAdministrator } from './session/first-administrator.js';

/**
 * @param passwordFile where a generated password was also written
 * @returns lines for standard output
 */
export function firstSteps(
  { email, generatedPassword }: FirstAdministrator,
  url: string,
  passwordFile: string,
): readonly string[] {
  const password =
    generatedPassword === undefined
      ? ['  password  as given in VAULT_ADMIN_PASSWORD']
      : [
          `  password  ${generatedPassword}`,
          `It is shown this once, and stands in ${passwordFile} until you delete that file.`,
        ];
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
