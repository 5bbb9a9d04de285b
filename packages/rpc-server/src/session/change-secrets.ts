/**
 * A new password or one-time password secret: it ends every other session, socket and token of the
 * user on every server, and lets the session that made the change live on.
 *
 * The generation of the user changes with the secret, in one write: from then on nothing that was
 * begun under the old one is let in, and each server's next recheck closes what is open. That the
 * dead tokens are removed afterwards is only tidiness, so a crash in between leaves nobody in.
 *
 * A change that began before somebody else ended its session changes nothing: an administrator who
 * resets the password of a thief's victim has the last word.
 */
import { randomUUID } from 'node:crypto';
import { addressKey } from '../admission/client-address.js';
import type { CallContext } from '../rpc/call-context.js';
import type { ChangedBy, UserChanges } from './users.js';

export async function changeSecrets(
  context: CallContext,
  userId: string,
  changes: UserChanges,
  changedBy: ChangedBy,
): Promise<void> {
  const { services, session, address } = context;
  const { users, tokens, now } = services;
  const caller = context.identity();
  if (caller.userId !== userId) {
    await users.set(userId, changes, changedBy);
    await tokens.removeOfUser(userId);
    return;
  }
  const { tokenId } = caller;
  const sessionGeneration = randomUUID();
  session.nextGenerations.add(sessionGeneration);
  try {
    // Before: the sockets of this very token go on, on every server.
    if (tokenId !== undefined) {
      await tokens.setGenerations(tokenId, [caller.sessionGeneration, sessionGeneration]);
    }
    const under = caller.sessionGeneration;
    const own = { under, sessionGeneration, address: addressKey(address), nowMs: now() };
    await users.set(userId, changes, { ...changedBy, own });
    const current = session.identity;
    const isSame = current?.userId === userId && current.tokenId === tokenId;
    if (isSame) session.signIn({ ...current, sessionGeneration }, now());
  } finally {
    session.nextGenerations.delete(sessionGeneration);
  }
  if (tokenId !== undefined) await tokens.setGenerations(tokenId, [sessionGeneration]);
  await tokens.removeOfUser(userId, tokenId);
}
