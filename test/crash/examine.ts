/** Looks at everything after a case. Each finding is a sentence; none means that all is right. */
import { readFileSync } from 'node:fs';
import { isEnvelope } from '@vault/crypto';
import type { CredentialDatabase } from '@vault/redis-store';
import type { CrashStage } from './crash-stage.js';
import { canonicalContents, COLLECTIONS, MARKER } from './records.js';
import type { CollectionName, Contents } from './records.js';

/** Ids of the keys that records in Redis are encrypted under. */
async function neededKeyIds(stage: CrashStage): Promise<ReadonlySet<string>> {
  const keys = await stage.client.keys('vault:{*}:r:*');
  const values = await Promise.all(keys.map((key) => stage.client.getBuffer(key)));
  // An envelope is 0x01, then its key id in 8 bytes.
  return new Set(
    values.flatMap((value) =>
      value !== null && isEnvelope(value) ? [value.subarray(1, 9).toString('hex')] : [],
    ),
  );
}

/** Right after the fault, before anything was mended: no record may be without its key. */
export async function findLostKeys(
  stage: CrashStage,
  readHalves: () => Promise<readonly string[]>,
): Promise<string[]> {
  const halves = await readHalves();
  return [...(await neededKeyIds(stage))].flatMap((id) =>
    halves.every((text) => text.includes(`${id}:`)) ? [] : [`no half for the records of key ${id}`],
  );
}

/** The texts of both halves, where both are files. */
export function readHalfFiles(stage: CrashStage): Promise<readonly string[]> {
  return Promise.resolve(
    stage.halves.map((half) => {
      try {
        return readFileSync('path' in half ? (half.path ?? '') : '', 'utf8');
      } catch {
        return ''; // there is none
      }
    }),
  );
}

/**
 * What a user sees of an open database: state, every record, every index, and verify.
 * @param allowed contents of which one is right
 */
export async function examineDatabase(
  database: CredentialDatabase,
  encrypt: boolean,
  allowed: readonly Contents[],
): Promise<string[]> {
  const findings: string[] = [];
  const expected = encrypt ? 'encrypted' : 'plaintext';
  if (database.state !== expected) findings.push(`state ${database.state}, expected ${expected}`);

  const { isSound, problems, strayFences, records } = await database.verify();
  if (!isSound) findings.push(`verify: ${JSON.stringify({ problems, strayFences })}`);

  const contents = await readAll(database, findings);
  if (contents.size !== records) findings.push(`${contents.size} records listed of ${records}`);
  const text = canonicalContents(contents);
  if (!allowed.some((each) => canonicalContents(each) === text)) {
    const differing = [...new Set([...contents.keys(), ...(allowed[0]?.keys() ?? [])])].filter(
      (name) => !allowed.some((each) => isSameRecord(each, contents, name)),
    );
    findings.push(`contents that no order of events explains: ${differing.join(', ')}`);
  }
  await findEach(database, contents, findings);

  const { activeKeyId, halves } = await database.status();
  if (encrypt && (activeKeyId === null || !halves.keyIds.includes(activeKeyId))) {
    findings.push(`the active key ${activeKeyId} is not in the halves`);
  }
  return findings;
}

function isSameRecord(a: Contents, b: Contents, name: string): boolean {
  const only = (contents: Contents): Contents =>
    new Map([...contents].filter(([other]) => other === name));
  return canonicalContents(only(a)) === canonicalContents(only(b));
}

async function readAll(database: CredentialDatabase, findings: string[]): Promise<Contents> {
  const contents = new Map<string, Record<string, never>>();
  for (const collection of Object.keys(COLLECTIONS)) {
    const page = await database.collection(collection).list({ limit: 500 });
    for (const { id, record } of page.records) {
      contents.set(`${collection} ${id}`, record as Record<string, never>);
    }
    findings.push(...page.unreadable.map(({ message }) => message));
  }
  return contents;
}

/** Every record is found by each of its indexes, and nothing else is. */
async function findEach(
  database: CredentialDatabase,
  contents: Contents,
  findings: string[],
): Promise<void> {
  for (const [name, record] of contents) {
    const [collection = '', id = ''] = name.split(' ');
    const { indexes } = COLLECTIONS[collection as CollectionName];
    for (const { fields } of Object.values<{ fields: readonly string[] }>(indexes)) {
      if (fields.some((field) => record[field] === undefined)) continue;
      const query = Object.fromEntries(fields.map((field) => [field, record[field] ?? null]));
      const found = await database.collection(collection).find(query);
      const ids = found.map((stored) => stored.id);
      const right = [...contents]
        .filter(([other]) => other.startsWith(`${collection} `))
        .filter(([, other]) => fields.every((field) => other[field] === record[field]))
        .map(([other]) => other.slice(collection.length + 1));
      if (ids.toSorted().join() !== right.toSorted().join()) {
        findings.push(`${collection} ${id} by ${fields.join()}: ${ids.join()}`);
      }
    }
  }
}

/** Names of what may stay in the folder of a case once all is done. */
const KEPT_FILES = /^(half-a|data\/(half-b|vault-state|vault-machine))$/;

/** After the database was closed: no plaintext while encrypted, no files left, no key that is not needed. */
export async function examineResidue(stage: CrashStage, encrypt: boolean): Promise<string[]> {
  const findings = stage
    .files()
    .filter((name) => !KEPT_FILES.test(name))
    .map((name) => `left behind: ${name}`);
  if (!encrypt) return findings;
  for (const [where, bytes] of await stage.allBytes()) {
    if (MARKER.test(bytes.toString('latin1'))) findings.push(`plaintext in ${where}`);
  }
  return findings;
}
