import { UsageError } from '../errors.js';
import { printResult } from '../output/print-result.js';
import { ProgressBar } from '../output/progress-bar.js';
import { parseCallArguments, type ParameterSource } from '../parameters.js';
import { readSecretFile } from '../secret-file.js';
import type { SecretInput } from '../secret-input.js';
import { withSession } from '../session.js';
import { runTransfer, transferOffer } from '../transfer/run-transfer.js';
import type { Notification } from '../vault-client.js';
import { defineCommand, JSON_OPTION } from './command.js';

/** These change the very connection that the one call is made on. (`session.getUser` is useful.) */
const POINTLESS_METHOD = /^session\.sign(In|Out)/;
/** Methods whose secrets are new: a slip of the finger would lock somebody out, so they are asked twice. */
const METHOD_WITH_NEW_SECRET = /\.(exportConfig|create|changePassword)$/;

export const call = defineCommand({
  usage: ['call <method> [parameters..]', '$0'],
  summary: 'Call a method of the server; the word call may be left out',
  positionals: {
    method: { type: 'string', demandOption: true, description: 'See list-commands' },
    parameters: {
      type: 'string',
      array: true,
      default: [],
      description:
        'name=text, name=true, name=json:<JSON>, name=- (all of standard input), name=@<file> (all of a file), name=? or passphrase= (asked for), @=<file> (a transfer; - for standard input or output)',
    },
  },
  options: {
    ...JSON_OPTION,
    force: {
      type: 'boolean',
      default: false,
      description: 'Let a download replace the file that is there',
    },
  },
  examples: [
    ['$0 server.add host=10.0.0.1 username=root password=', 'asks for the password'],
    ['$0 saml.add name=idp privateKey=@key.pem', 'the whole file as one value'],
    ['$0 server.getAll limit=json:10 --json', 'a number, and the answer as JSON'],
    ['$0 system.exportConfig passphrase= @=backup.pgp', 'download'],
    ['$0 system.importConfig passphrase=- @=backup.pgp < passphrase.txt', 'upload'],
    [
      '$0 system.importConfig allowUnprotected=true dryRun=true @=backup.json',
      'what the import of a file that is not encrypted would do',
    ],
  ],
  run: async (args, context) => {
    const { method } = args;
    refuseUnlessCallable(method);
    const { parameters, transferPath } = parseCallArguments(args.parameters);
    const bar = new ProgressBar(context.stderr);
    await withSession(
      args,
      context,
      async ({ client, target, secrets }) => {
        const values = await resolveParameters(method, parameters, secrets);
        // The rest may be the file of an upload; whether it is one only the answer says.
        if (transferPath !== '-') await secrets.expectEnd();
        const result = await client.call(method, values).finally(() => bar.stop());
        const offer = transferOffer(result);
        if (offer?.direction !== 'upload') await secrets.expectEnd();
        if (offer === undefined) {
          printResult(result, context.stdout, { isJson: args.json });
          return;
        }
        const answer = await runTransfer(
          offer,
          {
            method,
            path: transferPath,
            address: client.address,
            allowUnauthorized: target.allowUnauthorized,
            mayOverwrite: args.force,
            inputName: secrets.isTerminal ? undefined : inputNameOf(parameters),
            bar,
          },
          context,
        );
        if (answer !== undefined) printResult(answer, context.stdout, { isJson: args.json });
      },
      { onNotification: (notification) => showProgress(bar, notification), readsInput: true },
    );
  },
});

function refuseUnlessCallable(method: string): void {
  if (!method.includes('.')) {
    throw new UsageError(
      `there is no command ${method}, and the name of a method has a dot in it`,
      '`vault-cli --help` shows the commands, `vault-cli list-commands` the methods',
    );
  }
  if (POINTLESS_METHOD.test(method)) {
    throw new UsageError(`${method} is not for one call`, 'use register, unregister or --user');
  }
}

/** The parameter that took standard input. */
function inputNameOf(sources: ReadonlyMap<string, ParameterSource>): string | undefined {
  for (const [name, { kind }] of sources) if (kind === 'input') return name;
  return undefined;
}

/** One after the other: they may be asked for. */
async function resolveParameters(
  method: string,
  sources: ReadonlyMap<string, ParameterSource>,
  secrets: SecretInput,
): Promise<Record<string, unknown>> {
  const values: [string, unknown][] = [];
  for (const [name, source] of sources) {
    // oxlint-disable-next-line no-await-in-loop -- the order is the point
    values.push([name, await resolveParameter(method, name, source, secrets)]);
  }
  return Object.fromEntries(values);
}

async function resolveParameter(
  method: string,
  name: string,
  source: ParameterSource,
  secrets: SecretInput,
): Promise<unknown> {
  if (source.kind === 'literal') return source.value;
  if (source.kind === 'file') return await readSecretFile(name, source.path);
  if (source.kind === 'input') return await secrets.askOrReadAll(name);
  const isConfirmed = METHOD_WITH_NEW_SECRET.test(method) && !/^old/i.test(name);
  return await secrets.ask(name, { isConfirmed });
}

/** `progress` notifications tell how far a long call of this connection is. */
function showProgress(bar: ProgressBar, { method, params }: Notification): void {
  if (method !== 'progress' || typeof params !== 'object' || params === null) return;
  const facts = new Map<string, unknown>(Object.entries(params));
  const [phase, done, total] = [facts.get('phase'), facts.get('done'), facts.get('total')];
  if (typeof phase !== 'string' || typeof done !== 'number' || typeof total !== 'number') return;
  bar.show({ label: phase, done, total, unit: 'records' });
}
