/** The status report for people. */
import type { KeyId } from '@vault/crypto';
import { DEGRADED_MESSAGES } from '@vault/redis-store';
import type { KeyPlaceKind } from '@vault/keystore';
import type { DatabaseStatus, DegradedDetails, KeyPlace, ProcessStatus } from '@vault/redis-store';
import type { ExportNote } from '../backup/export-state.js';
import type { MachineNote } from '../lifecycle/machine-watch.js';
import type { RotationNote } from '../lifecycle/rotation-note.js';
import type { KitNote } from '../recovery/kit-state.js';
import { ANOTHER_SERVER, NO_ANSWER, servesAnother } from './ask-server.js';
import type { StatusReport } from './status.js';

type Line = string | undefined;

/** `name` in a column of fixed width, then the value. */
function row(name: string, value: string | number | null | undefined): Line {
  return value === null || value === undefined || value === ''
    ? undefined
    : `  ${name.padEnd(14)}${value}`;
}

function list(title: string, items: readonly string[]): Line[] {
  return items.length === 0 ? [] : ['', title, ...items.map((item) => `  - ${item}`)];
}

function rotationText({ rotation, isSuperseded }: RotationNote & DatabaseStatus): Line {
  if (rotation === null) return undefined;
  if (isSuperseded) return `due: ${rotation.reason}; the server rotates by itself, see its log`;
  if (rotation.isDue) return `due: ${rotation.reason}; run vault-cli encryption.rotateKeys`;
  return rotation.dueAt === null ? undefined : `due at ${rotation.dueAt}`;
}

function kitText({ activeKeyId, recoveryKit }: DatabaseStatus & KitNote): Line {
  if (activeKeyId === null) return undefined;
  if (recoveryKit === null) return 'none of the active key; run vault-server recovery-kit create';
  const { createdAt, provenAt, protection } = recoveryKit;
  return `made ${createdAt}, proven ${provenAt} (${protection})`;
}

/** Whoever can write to Redis can list a process there; what has the active key proves it. */
function processText(
  { host, pid, role, provenKeyIds }: ProcessStatus,
  activeKeyId: KeyId | null,
): string {
  const isProven = activeKeyId === null || provenKeyIds.includes(activeKeyId);
  return `${role} ${pid}@${host}${isProven ? '' : ' (proves no key: not waited for)'}`;
}

function exportText({ scheduledExport }: ExportNote): Line {
  if (scheduledExport === null) return undefined;
  const { lastTryAt, lastResult, reason, proven } = scheduledExport;
  const good =
    proven === null
      ? 'none that is proven'
      : `proven ${proven.at} by ${proven.proof}, ${proven.records} records, ${proven.file}`;
  return lastResult === 'proven' ? good : `${lastResult} ${lastTryAt}: ${reason}; ${good}`;
}

/** Where halves lie beside the lines of keys that open: what an operator may have to look after. */
function placeText({ half, kind, place, keyIds, note }: KeyPlace): readonly string[] {
  const text = PLACE_TEXTS[kind];
  if (text === undefined) return [];
  const keys = keyIds.length === 0 ? '' : `, of key ${keyIds.join(', ')}`;
  return [`half ${half}: ${place}: ${text}${keys}${note === undefined ? '' : ` (${note})`}`];
}

const PLACE_TEXTS: Readonly<Record<string, string>> = {
  condemned: 'condemned, opens still',
  previous: 'an earlier secret',
  foreign: 'a half without a key id, left alone',
  corruptCopy: 'a corrupt value that was put aside',
  unreadable: 'cannot be asked',
} satisfies Partial<Record<KeyPlaceKind, string>>;

function condemnedText({ condemnedKeys }: DatabaseStatus): string {
  return condemnedKeys.map(({ keyId, until }) => `${keyId} until ${until}`).join(', ');
}

function missingText({ missingHalves }: StatusReport): Line {
  if (missingHalves.length === 0) return undefined;
  const gone = missingHalves.map(({ keyId, places }) => `key ${keyId} in ${places.join(' and ')}`);
  return `${gone.join('; ')}; run vault-server keys put-back before the server stops`;
}

function machineText({ machine }: MachineNote): Line {
  if (machine === null) return undefined;
  return `a copy: ${machine.differs.join(', ')} differ; ${machine.advice}`;
}

function failureText({ operation }: DatabaseStatus): Line {
  const failed = operation?.failed;
  return failed == null ? undefined : `${failed.cause} (tried again at ${failed.nextAt})`;
}

function databaseLines(status: NonNullable<StatusReport['database']>): Line[] {
  const counts = Object.entries(status.collections).filter(([, count]) => count > 0);
  return [
    row('state', status.state),
    row('pinned', status.pinned ? 'yes: to decrypt it takes vault-server confirm-decrypt' : ''),
    row('database', `${status.databaseId}, epoch ${status.epoch}`),
    row('active key', status.activeKeyId),
    row('since', status.activeSince),
    row('rotation', rotationText(status)),
    row('recovery kit', kitText(status)),
    row('config backup', exportText(status)),
    row('previous key', status.previousKeyId),
    row('pending key', status.pendingKeyId),
    row('inactive', status.inactiveKeyIds.join(', ')),
    row('condemned', condemnedText(status)),
    row('machine', machineText(status)),
    row('migration', status.migration?.backupPath),
    row('under way', status.underWay?.what),
    row('failed', failureText(status)),
    row('what to do', status.operation?.failed?.advice ?? status.underWay?.toDo),
    row('what not', status.underWay?.notToDo),
    row('records', counts.map(([name, count]) => `${name} ${count}`).join(', ')),
    row(
      'processes',
      status.processes.map((process) => processText(process, status.activeKeyId)).join(', '),
    ),
    row('kept keys', status.keptKeysBecause),
    row('kept backup', status.keptFilesBecause),
  ];
}

function degradedLines(
  { message, details }: NonNullable<StatusReport['degraded']>,
  missing: Line,
): Line[] {
  const { cause, backupPath, neededKeyId, foundKeyIds, diagnosis, advice }: DegradedDetails =
    details;
  return [
    row('state', 'degraded'),
    row('message', message),
    row('cause', cause),
    row('key needed', neededKeyId),
    row('keys found', foundKeyIds?.join(', ')),
    row('backup', backupPath),
    ...(diagnosis ?? []).map((sentence) => row('diagnosis', sentence)),
    // A restart would throw away the only copy of the half.
    row('what to do', missing === undefined ? advice : PUT_BACK_ADVICE),
  ];
}

const PUT_BACK_ADVICE =
  'do not restart the server: it serves, and has the key in memory; run `vault-server keys put-back` now';

/** Of a server that is degraded, though this command can open the database: only its log has the cause. */
function degradedServerLines({ server, database }: StatusReport): Line[] {
  const { mode, reason, retrying } = server;
  if (mode !== 'degraded' || database === undefined || retrying === true) return [];
  const messages: Readonly<Record<string, string>> = DEGRADED_MESSAGES;
  return [
    row('message', messages[reason ?? '']),
    row(
      'what to do',
      'read the cause in the log of the server, and mend it, if it still holds; then restart the server: this command can open the database',
    ),
  ];
}

function modeText({ server, database }: StatusReport): string {
  const { mode, reason, retrying } = server;
  if (mode === ANOTHER_SERVER)
    return `${mode} than that of this data folder answers there: nothing is known of this one`;
  if (servesAnother(server, database))
    return `${mode}, but database ${server.databaseId ?? ''}, not the one of this configuration: restart it`;
  if (mode === NO_ANSWER)
    return `${mode} (where it was started with --port, give that to status, too)`;
  if (reason === undefined) return mode;
  return `${mode} (${reason})${retrying === true ? ', tries again by itself' : ''}`;
}

/** Text for a terminal, with a final line feed. */
export function statusText(report: StatusReport): string {
  const { server, halves, database, degraded } = report;
  // A plaintext database without halves lacks nothing, and nobody can copy what is not there.
  const needsNone = database?.state === 'plaintext' && halves.state === 'none';
  const warnings = [
    ...(needsNone ? [] : halves.custodyWarnings),
    ...(database?.redisWarnings ?? []),
    ...(database?.residueAdvice ?? []),
  ];
  const lines: Line[] = [
    'Server',
    row('url', server.url),
    row('mode', modeText(report)),
    ...degradedServerLines(report),
    row('configuration', report.configFile),
    row('data folder', report.datadir),
    row('missing half', missingText(report)),
    '',
    'Database',
    ...(database === undefined ? [] : databaseLines(database)),
    ...(degraded === undefined ? [] : degradedLines(degraded, missingText(report))),
    '',
    'Key halves',
    row('together', halves.state),
    ...halves.halves.map(({ half, source, place, status, keyIds, reason }) => {
      const keys = keyIds.length === 0 ? '' : `, keys ${keyIds.join(', ')}`;
      const why = reason === undefined ? '' : ` (${reason})`;
      return row(`half ${half}`, `${needsNone ? 'none' : status}: ${source} ${place}${keys}${why}`);
    }),
    ...list('Other places of halves', halves.places.flatMap(placeText)),
    ...list('Diagnosis', needsNone ? [] : halves.diagnosis),
    ...list('Warnings', warnings),
  ];
  return `${lines.filter((line) => line !== undefined).join('\n')}\n`;
}
