/**
 * The fence: the bytes that stand in every partition's `meta` key, and that every write script
 * compares with those its caller holds. Whoever changes the state of the database raises the epoch
 * in every partition first, so that a stalled process can write nothing more.
 *
 * ```
 * JSON text ‖ "\n" ‖ base64url(HMAC-SHA256(fence key, prefix, partition, JSON text))     while there is an active key
 * JSON text ‖ "\n" ‖ "-"                                                                  in state plaintext
 * ```
 *
 * The bytes are a function of view, prefix and partition alone: each process computes them.
 */
import { hashOfCanonical } from '../partitions/sealed-definitions.js';
import type { DatabaseView } from './database-state.js';

/** What a fence says. */
export interface FenceContent {
  readonly v: 1;
  readonly databaseId: string;
  readonly epoch: number;
  readonly state: string;
  readonly keyId: string | null;
  readonly previousKeyId: string | null;
  readonly definitions: string;
}

/** The fence bytes of one partition under a view. */
export function fenceBytes(view: DatabaseView, prefix: string, partition: string): string {
  const content: FenceContent = {
    v: 1,
    databaseId: view.databaseId,
    epoch: view.epoch,
    state: view.state,
    keyId: view.signingKey?.id ?? null,
    previousKeyId: view.before?.key?.id ?? null,
    definitions: hashOfCanonical(view.written.definitions),
  };
  const json = JSON.stringify(content);
  const mac = view.signingKey?.mac('fence', prefix, partition, json).toString('base64url') ?? '-';
  return `${json}\n${mac}`;
}

/** Reads a fence without believing it. @returns `undefined` when the bytes have not the form of one */
export function parseFence(
  bytes: string,
): { content: FenceContent; json: string; mac: string } | undefined {
  const at = bytes.indexOf('\n');
  if (at < 0) return undefined;
  const json = bytes.slice(0, at);
  try {
    const content: unknown = JSON.parse(json);
    if (typeof content !== 'object' || content === null || !('epoch' in content)) return undefined;
    if (typeof content.epoch !== 'number') return undefined;
    return { content: content as FenceContent, json, mac: bytes.slice(at + 1) };
  } catch {
    return undefined;
  }
}
