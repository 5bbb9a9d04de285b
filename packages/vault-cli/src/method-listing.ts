import picomatch from 'picomatch';
import type { MethodInfo, MethodsInfo } from '@vault/rpc-server/protocol';
import { ProtocolBrokenError } from './errors.js';
import { terminalText } from './output/terminal-text.js';
import type { VaultClient } from './vault-client.js';

/**
 * The methods of the server whose names match any of the glob patterns (all, without patterns), sorted.
 *
 * @throws ProtocolBrokenError when the answer is not an object.
 */
export async function listMethods(
  client: VaultClient,
  patterns: readonly string[],
): Promise<MethodsInfo> {
  const answer = await client.call('system.getMethodsInfo');
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw new ProtocolBrokenError('the answer to system.getMethodsInfo is not an object');
  }
  const methods = Object.entries(answer as MethodsInfo);
  const isWanted = patterns.length === 0 ? () => true : picomatch([...patterns]);
  return Object.fromEntries(
    methods
      .filter(([name]) => isWanted(name))
      .toSorted(([left], [right]) => (left < right ? -1 : 1)),
  );
}

/** `name p=<type> [q=<type>]`, and the description in a line of its own. */
export function formatMethod(name: string, info: MethodInfo): string {
  // Other servers of this protocol leave out `params` where a method has none.
  const params: Readonly<Record<string, unknown>> | null | undefined = info.params;
  const words = Object.entries(params ?? {}).map(([param, schema]) => formatParam(param, schema));
  const line = [name, ...words].join(' ');
  const description: string | undefined = info.description;
  return terminalText(
    description === undefined || description === '' ? line : `${line}\n    ${description}`,
  );
}

function formatParam(name: string, schema: unknown): string {
  const facts = new Map<string, unknown>(
    typeof schema === 'object' && schema !== null ? Object.entries(schema) : [],
  );
  const text = `${name}=<${formatType(facts.get('type'))}>`;
  const isOptional = facts.get('optional') ?? facts.has('default');
  return isOptional === true ? `[${text}]` : text;
}

function formatType(type: unknown): string {
  if (Array.isArray(type)) return type.join('|');
  return typeof type === 'string' ? type : 'any';
}
