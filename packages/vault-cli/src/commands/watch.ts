import { ConnectionLostError, InterruptedError } from '../errors.js';
import { dump } from '../output/print-result.js';
import { terminalText } from '../output/terminal-text.js';
import { withSession } from '../session.js';
import type { Notification } from '../vault-client.js';
import { defineCommand } from './command.js';

export const watch = defineCommand({
  usage: 'watch',
  summary: 'Print what the server tells of changes, until Ctrl-C',
  positionals: {},
  options: {
    ndjson: {
      type: 'boolean',
      default: false,
      description: 'One line of JSON a notification: {"method": …, "params": …}',
    },
  },
  examples: [['$0 watch --ndjson | jq .params', 'for programs']],
  run: async (args, context) => {
    const { stdout, stderr, signal } = context;
    const counts = new Map<string, number>();
    const print = ({ method, params }: Notification) => {
      counts.set(method, (counts.get(method) ?? 0) + 1);
      const line = args.ndjson
        ? JSON.stringify({ method, params })
        : `${terminalText(method)} ${dump(params, stdout)}`;
      stdout.write(`${line}\n`);
    };
    try {
      await withSession(
        args,
        context,
        async ({ client }) => {
          await client.closed;
          if (!signal.aborted) throw new ConnectionLostError('the server closed the connection');
        },
        { onNotification: print },
      );
    } catch (error) {
      // Ctrl-C is how a watch ends well.
      if (!(error instanceof InterruptedError)) throw error;
    } finally {
      for (const [method, count] of counts) stderr.write(`${terminalText(method)}: ${count}\n`);
    }
  },
});
