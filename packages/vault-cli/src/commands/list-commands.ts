import { formatMethod, listMethods } from '../method-listing.js';
import { printResult } from '../output/print-result.js';
import { withSession } from '../session.js';
import { defineCommand, JSON_OPTION } from './command.js';

export const listCommands = defineCommand({
  usage: 'list-commands [patterns..]',
  summary: 'Show the methods of the server with their parameters',
  positionals: {
    patterns: {
      type: 'string',
      array: true,
      default: [],
      description: 'Globs that the name has to match, any of them',
    },
  },
  options: JSON_OPTION,
  examples: [
    ['$0 list-commands "server.*"', 'those of one collection'],
    ['$0 list-commands "{user,token}.*" --json', 'with all that the server says of them'],
  ],
  run: async (args, context) => {
    await withSession(args, context, async ({ client }) => {
      const methods = await listMethods(client, args.patterns);
      if (args.json) {
        printResult(methods, context.stdout, { isJson: true });
        return;
      }
      const lines = Object.entries(methods).map(([name, info]) => formatMethod(name, info));
      context.stdout.write(`${lines.join('\n')}\n`);
    });
  },
});
