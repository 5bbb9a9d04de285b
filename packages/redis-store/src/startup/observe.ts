/** What seal, witness and fences say together; the data itself is looked at only where there is no seal. Reads, never writes. */
import type { KeyRing, VaultKey } from '@vault/crypto';
import { envelopeKeyId, isEnvelope } from '@vault/crypto';
import { canonicalDefinitions } from '../records/collection-definition.js';
import type { CollectionDefinitions } from '../records/collection-definition.js';
import type { DatabaseView } from '../state/database-state.js';
import { fenceBytes, parseFence } from '../state/fence.js';
import type { RedisLink } from '../redis/redis-link.js';
import { isAuthenticSeal, isTombstone, parseSeal } from '../state/seal.js';
import type { ReadSeal, SealContent } from '../state/seal.js';
import { allPartitions, filedCollections } from '../partitions/sealed-definitions.js';
import { witnessObjection } from '../state/witness.js';
import type { Witness, WitnessContent } from '../state/witness.js';
import type { Observed } from './startup-table.js';

/** Last of the bytes of an envelope that name version and key. */
const HEAD_LAST_BYTE = 8;

/** What may be under a key. */
type KeyedKind = 'record' | 'fence';
const EVERYTHING: readonly KeyedKind[] = ['record', 'fence'];

export interface Observation extends Observed {
  /** The bytes in Redis, believed or not: what a change of the seal expects to find. */
  readonly sealBytes: string | undefined;
  /** The seal, where it is believed. */
  readonly seal: ReadSeal | undefined;
  /** The witness, where it can be read. */
  readonly witness: WitnessContent | undefined;
}

export interface ObserveOptions {
  readonly link: RedisLink;
  readonly witness: Witness;
  readonly ring: KeyRing;
  readonly definitions: CollectionDefinitions;
}

/** Looks at everything that says what state the database is in. */
export async function observe(options: ObserveOptions): Promise<Observation> {
  const { link, ring } = options;
  const sealBytes = (await link.get(link.names.seal))?.toString();
  const read = await options.witness.read();
  if (read === 'malformed') {
    const cause = `the witness ${options.witness.path} is damaged`;
    return {
      kind: 'refused',
      neededKeyIds: [],
      cause,
      sealBytes,
      seal: undefined,
      witness: undefined,
    };
  }
  const found = { sealBytes, seal: undefined, witness: read };
  const parsed = sealBytes === undefined ? undefined : parseSeal(sealBytes);
  if (parsed === 'newer-layout') {
    return {
      ...found,
      kind: 'newer-layout',
      neededKeyIds: [],
      cause: 'the seal has a newer layout',
    };
  }
  const objection = await objectionTo(parsed, read, options);
  if (objection === undefined) {
    if (typeof parsed !== 'object') return { ...found, kind: 'plaintext', neededKeyIds: [] };
    return { ...found, ...keyedOrPlain(parsed.content), seal: parsed };
  }
  const agreed = await agreedKey(read, options);
  if (agreed !== undefined) {
    return { ...found, kind: 'resealable', neededKeyIds: [agreed.id], cause: objection };
  }
  const isKeyUnknown =
    typeof parsed === 'object' &&
    parsed.content.keyId !== null &&
    ring.byId(parsed.content.keyId) === undefined &&
    witnessObjection(read, parsed.content, link.names.prefix, ring) === undefined;
  return isKeyUnknown
    ? { ...found, ...keyedOrPlain(parsed.content), cause: objection }
    : { ...found, kind: 'refused', neededKeyIds: [], cause: objection };
}

/** What speaks against serving what the seal says, or `undefined`. */
async function objectionTo(
  parsed: ReadSeal | 'malformed' | undefined,
  witness: WitnessContent | undefined,
  options: ObserveOptions,
): Promise<string | undefined> {
  const { prefix } = options.link.names;
  if (parsed === 'malformed') return 'the seal is damaged';
  const objection = witnessObjection(witness, parsed?.content, prefix, options.ring);
  if (objection !== undefined) return objection;
  if (parsed === undefined) {
    // One of epoch 0 is that of a database that the operator takes for new.
    return encryptedWithoutSeal(options, witness === undefined ? EVERYTHING : ['record']);
  }
  const { keyId } = parsed.content;
  const isKnown = witness !== undefined && witness.epoch > 0;
  if (keyId === null && !isKnown) return encryptedBesidePlaintext(parsed.content, options);
  if (keyId === null || isAuthenticSeal(parsed, prefix, options.ring)) return undefined;
  return options.ring.byId(keyId) === undefined
    ? `the seal names key ${keyId}, which was not found`
    : `the seal was not made by a holder of key ${keyId}`;
}

function keyedOrPlain(content: SealContent): Observed {
  const { state, keyId, previousKeyId, importing } = content;
  const neededKeyIds = [keyId, previousKeyId].filter((id) => id !== null);
  if (state === 'plaintext') {
    return { kind: importing === null ? 'plaintext' : 'importing-plaintext', neededKeyIds };
  }
  if (importing !== null && state === 'encrypted') {
    return { kind: 'importing-encrypted', neededKeyIds };
  }
  return { kind: state, neededKeyIds };
}

/** The key of a database that is encrypted by the agreement of witness and every fence. */
async function agreedKey(
  witness: WitnessContent | undefined,
  { link, ring, definitions }: ObserveOptions,
): Promise<VaultKey | undefined> {
  if (witness?.state !== 'encrypted' || witness.keyId === null) return undefined;
  const key = ring.byId(witness.keyId);
  if (key === undefined) return undefined;
  const view = witnessedView(witness, key, definitions);
  const partitions = allPartitions(filedCollections(link, definitions));
  const fences = await Promise.all(partitions.map((partition) => partition.readFence()));
  const isAgreed = partitions.every(
    ({ name }, i) => fences[i] === fenceBytes(view, link.names.prefix, name),
  );
  return isAgreed ? key : undefined;
}

function witnessedView(
  witness: WitnessContent,
  key: VaultKey,
  definitions: CollectionDefinitions,
): DatabaseView {
  return {
    databaseId: witness.databaseId,
    epoch: witness.epoch,
    state: witness.state,
    signingKey: key,
    written: { key, definitions: canonicalDefinitions(definitions) },
    before: undefined,
  };
}

/**
 * Without seal and witness the data itself is looked at: a record or fence under a key is an objection.
 * @param kinds what is looked at, default both
 */
export async function encryptedWithoutSeal(
  { link }: Pick<ObserveOptions, 'link'>,
  kinds: readonly KeyedKind[] = EVERYTHING,
): Promise<string | undefined> {
  const name = await keyedName(link, kinds, () => true);
  return name === undefined ? undefined : `there is no seal, but the key ${name} is encrypted`;
}

/**
 * A plaintext seal is anybody's. Without a witness it is believed only where nothing is under a key but
 * the keys that a tombstone, signed by one that we have, gives up.
 * @param looked which keys are looked for, default all, and at what, default at everything
 */
export async function encryptedBesidePlaintext(
  { databaseId, retired }: SealContent,
  { link, ring }: Pick<ObserveOptions, 'link' | 'ring'>,
  looked: { readonly isOurs?: (keyId: string) => boolean; readonly at?: readonly KeyedKind[] } = {},
): Promise<string | undefined> {
  const { isOurs = () => true, at = EVERYTHING } = looked;
  const isSigned = retired !== null && isTombstone(retired, link.names.prefix, databaseId, ring);
  const given: readonly string[] = isSigned ? retired.keyIds : [];
  const name = await keyedName(link, at, (keyId) => !given.includes(keyId) && isOurs(keyId));
  return name === undefined
    ? undefined
    : `the seal says plaintext, but the key ${name} is encrypted`;
}

/** Name of a record or fence under one of the keys. */
async function keyedName(
  link: RedisLink,
  kinds: readonly KeyedKind[],
  counts: (keyId: string) => boolean,
): Promise<string | undefined> {
  const masters = await link.mastersOfAllSlots();
  for (const master of masters) {
    // oxlint-disable-next-line no-await-in-loop -- one page after the other
    for await (const keys of master.scan(link.names.pattern)) {
      const found = await Promise.all(keys.map((key) => keyIdAt(link, kinds, key)));
      const at = found.findIndex((keyId) => keyId !== undefined && counts(keyId));
      if (at >= 0) return keys[at];
    }
  }
  return undefined;
}

/** Id of the key that a record or fence is under; empty where it is cut short. */
async function keyIdAt(
  link: RedisLink,
  kinds: readonly KeyedKind[],
  key: string,
): Promise<string | undefined> {
  const kind = kinds.find((each) => each === link.names.parse(key)?.kind);
  if (kind === 'record') {
    const head = await link.command('GETRANGE', key, 0, HEAD_LAST_BYTE);
    return Buffer.isBuffer(head) && isEnvelope(head) ? (envelopeKeyId(head) ?? '') : undefined;
  }
  if (kind !== 'fence') return undefined;
  return parseFence((await link.get(key))?.toString() ?? '')?.content.keyId ?? undefined;
}
