import { ProtocolBrokenError, UsageError } from '../errors.js';
import { printResult } from '../output/print-result.js';
import { parseLiteral } from '../parameters.js';
import { withSession } from '../session.js';
import { defineCommand, JSON_OPTION } from './command.js';

/** What the terms of the command line ask for. */
export interface ObjectQuery {
  /** Properties to show; all, when there is none. */
  readonly properties: readonly string[];
  /** What the server is asked to filter by. */
  readonly filter: Readonly<Record<string, unknown>>;
}

/** `--host type=server` → show `host`, filter by `type`. @throws UsageError for anything else. */
export function parseObjectQuery(terms: readonly string[]): ObjectQuery {
  const properties: string[] = [];
  const filter: [string, unknown][] = [];
  for (const term of terms) {
    const at = term.indexOf('=');
    if (/^--[^=]+$/.test(term)) {
      properties.push(term.slice(2));
    } else if (at > 0 && !term.startsWith('-')) {
      filter.push([term.slice(0, at), parseLiteral(term.slice(0, at), term.slice(at + 1))]);
    } else {
      throw new UsageError('list-objects: expected --property or property=value');
    }
  }
  return { properties, filter: Object.fromEntries(filter) };
}

export const listObjects = defineCommand({
  usage: 'list-objects [terms..]',
  summary: 'Show the objects that the server has, secrets masked',
  positionals: {
    terms: {
      type: 'string',
      array: true,
      default: [],
      description: '--property shows that property (several: all of them); property=value filters',
    },
  },
  options: JSON_OPTION,
  examples: [
    ['$0 list-objects type=server', 'all servers'],
    ['$0 list-objects --id --host type=server enabled=true', 'two properties of some'],
  ],
  run: async (args, context) => {
    const { properties, filter } = parseObjectQuery(args.terms);
    await withSession(args, context, async ({ client }) => {
      const params = Object.keys(filter).length === 0 ? {} : { filter };
      const objects = objectsOf(await client.call('xo.getAllObjects', params));
      const shown = properties.length === 0 ? objects : objects.map(picker(properties));
      // Data for programs unless somebody looks at it, as xo-cli prints it.
      printResult(shown, context.stdout, { isJson: args.json || context.stdout.isTTY !== true });
    });
  },
});

function objectsOf(answer: unknown): object[] {
  if (typeof answer !== 'object' || answer === null) {
    throw new ProtocolBrokenError('the answer to xo.getAllObjects is not an object');
  }
  return Object.values(answer).filter(
    (value): value is object => typeof value === 'object' && value !== null,
  );
}

function picker(properties: readonly string[]): (object: object) => object {
  return (object) =>
    Object.fromEntries(Object.entries(object).filter(([name]) => properties.includes(name)));
}
