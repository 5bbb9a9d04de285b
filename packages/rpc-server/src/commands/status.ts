/** `vault-server status`: what an operator needs to know, in every state of server and database. */
import { DegradedError } from '@vault/redis-store';
import type { DatabaseStatus, HalvesStatus, MissingHalf } from '@vault/redis-store';
import { exportNote } from '../backup/export-state.js';
import type { ExportNote } from '../backup/export-state.js';
import { localSocketOf } from '../config/local-socket.js';
import { MISSING_PATH } from '../http/local-keys.js';
import type { MissingAnswer, OperationFailed } from '../http/local-keys.js';
import { askLocally } from './ask-locally.js';
import { custodyOf, loadKeysOf } from '../config/custody-config.js';
import type { ServerConfig } from '../config/load-config.js';
import { MachineWatch } from '../lifecycle/machine-watch.js';
import type { MachineNote } from '../lifecycle/machine-watch.js';
import { rotationNote } from '../lifecycle/rotation-note.js';
import type { RotationNote } from '../lifecycle/rotation-note.js';
import { kitNote } from '../recovery/kit-state.js';
import type { KitNote } from '../recovery/kit-state.js';
import { withRecoveryAdvice } from '../recovery/recovery-advice.js';
import { ANOTHER_SERVER, askServer, servesAnother } from './ask-server.js';
import type { ServerAnswer } from './ask-server.js';
import { withDatabase } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, JSON_OPTION } from './command.js';
import type { Command } from './command.js';
import { statusText } from './status-text.js';
import { configFor, sourcesFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';
import { jsonText } from './database-report.js';

export interface StatusReport {
  readonly configFile: string;
  readonly datadir: string;
  /** What the server says of itself, or that none answers. */
  readonly server: ServerAnswer;
  readonly halves: HalvesStatus;
  /** Keys in use of which a half is gone, as the running server says: it still has them in memory. */
  readonly missingHalves: readonly MissingHalf[];
  /** Only when the database can be opened. */
  readonly database?: DatabaseStatus & RotationNote & KitNote & ExportNote & MachineNote;
  /** Only when it cannot. */
  readonly degraded?: {
    readonly reason: string;
    readonly message: string;
    readonly details: object;
  };
}

export const STATUS: Command = {
  names: ['status'],
  summary:
    'Say how server, database and key halves are, and what to do; works in degraded mode too',
  options: {
    ...CONFIG_OPTIONS,
    ...JSON_OPTION,
    port: {
      type: 'number',
      requiresArg: true,
      describe: 'Port that the server was started with, where it is not the configured one',
    },
  },
  examples: [
    ['$0 status', 'On the machine of the server'],
    ['$0 status --json', 'For programs'],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    const report = await lookAtAll(surroundings, config);
    surroundings.writeOut(args['json'] === true ? jsonText(report) : statusText(report));
    const { server, database, degraded } = report;
    const isWrong =
      server.mode === 'degraded' ||
      server.mode === ANOTHER_SERVER ||
      servesAnother(server, database);
    const hasFailed = database?.operation?.failed != null;
    return degraded !== undefined || isWrong || hasFailed ? 'failed' : 'ok';
  },
};

async function lookAtAll(surroundings: Surroundings, config: ServerConfig): Promise<StatusReport> {
  const { settings, file } = config;
  const asked = await askRunning(config);
  const base = {
    configFile: file,
    datadir: settings.datadir,
    server: await askServer(config),
    halves: await lookAtHalves(surroundings, config),
    missingHalves: asked.missingHalves ?? [],
  };
  try {
    const seen = await withDatabase(surroundings, config, (opened) => opened.status());
    const database = withFailure(seen, asked.operationFailed);
    // The database knows better than the halves alone which of them are its own.
    const { halves } = database;
    const rotation = rotationNote(database, settings['keystore.rotateAfter'], Date.now());
    const kit = await lookAtKit(surroundings, config, database);
    const machine = await new MachineWatch(settings.datadir).note(database);
    const exports = await exportNote(settings, Date.now());
    const notes = { ...rotation, ...kit, ...machine, ...exports };
    return { ...base, halves, database: { ...database, ...notes } };
  } catch (error) {
    if (!(error instanceof DegradedError)) throw error;
    const { reason, message, details } = await withRecoveryAdvice(error, settings.datadir);
    return { ...base, degraded: { reason, message, details } };
  }
}

function withFailure(
  { operation, ...status }: DatabaseStatus,
  failed: OperationFailed | undefined,
): DatabaseStatus {
  return { ...status, operation: operation && { ...operation, failed: failed ?? null } };
}

/** What only the running server knows. */
async function askRunning({ settings }: ServerConfig): Promise<MissingAnswer> {
  try {
    const answer = await askLocally<MissingAnswer>(localSocketOf(settings), 'GET', MISSING_PATH);
    return 'message' in answer ? {} : answer;
  } catch {
    return {}; // no server, and no key in memory
  }
}

/** As they are by themselves, where no database says which of them are its own. */
async function lookAtHalves(
  surroundings: Surroundings,
  { settings }: ServerConfig,
): Promise<HalvesStatus> {
  const { custody } = await custodyOf(settings, sourcesFor(surroundings, settings.datadir));
  const { ring, unlabelled, state, halves, diagnosis, custodyWarnings } = await custody.load();
  for (const keys of [ring, unlabelled]) for (const id of keys.ids) keys.byId(id)?.destroy();
  const places = await custody.inventory();
  return { state, keyIds: ring.ids, halves, diagnosis, custodyWarnings, places };
}

async function lookAtKit(
  surroundings: Surroundings,
  { settings }: ServerConfig,
  { activeKeyId }: DatabaseStatus,
): Promise<KitNote> {
  const sources = sourcesFor(surroundings, settings.datadir);
  const { ring } = await loadKeysOf(settings, sources, activeKeyId);
  const note = await kitNote(settings.datadir, activeKeyId, ring);
  for (const id of ring.ids) ring.byId(id)?.destroy();
  return note;
}
