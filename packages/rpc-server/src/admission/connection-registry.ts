/**
 * All open WebSockets, by user and by address: how many each has, who gives way to a newcomer, and
 * which must end because of what happened to their user.
 */
import type { Client } from './client-address.js';
import { Groups } from './groups.js';
import { mostCommon } from './most-common.js';

/** What the registry needs of a connection. */
export interface Registered {
  readonly client: Client;
  /** Who is signed in on it, or who showed a token when it was opened. */
  readonly userId: string | undefined;
  /** What that user came in with. */
  readonly credential: string | undefined;
  readonly isAdministrator: boolean;
  /** When its last message came, ms. */
  readonly usedAtMs: number;
  /** Ends it at once. @param reason for the client and the log, at most 123 bytes */
  drop(reason: string): void;
}

/** Where a connection stands in the groups. */
interface Place {
  readonly userId: string | undefined;
}

const credentialOf = ({ credential }: Registered): string | undefined => credential;

export class ConnectionRegistry<Member extends Registered> {
  /** In order of age. */
  readonly #places = new Map<Member, Place>();
  readonly #byUser = new Groups<Member>();
  readonly #byAddress = new Groups<Member>();
  /** Of each address those that never signed in, in order of age. */
  readonly #strangers = new Groups<Member>();

  get size(): number {
    return this.#places.size;
  }

  [Symbol.iterator](): IterableIterator<Member> {
    return this.#places.keys();
  }

  add(connection: Member): void {
    this.#byAddress.add(connection.client.key, connection);
    this.#place(connection);
  }

  delete(connection: Member): void {
    if (!this.#places.has(connection)) return;
    this.#byAddress.delete(connection.client.key, connection);
    this.#remove(connection);
    this.#places.delete(connection);
  }

  /** Told when somebody else, or nobody any more, is signed in on it. */
  update(connection: Member): void {
    const place = this.#places.get(connection);
    if (place === undefined || place.userId === connection.userId) return;
    this.#remove(connection);
    this.#place(connection);
  }

  /** Those that a user is signed in on. */
  connectionsOf(userId: string): readonly Member[] {
    return [...this.#byUser.get(userId)];
  }

  countOfUser(userId: string): number {
    return this.#byUser.get(userId).size;
  }

  countOfAddress(key: string): number {
    return this.#byAddress.get(key).size;
  }

  /** Drops every connection of a user, but for one. @returns how many */
  dropUser(userId: string, reason: string, except?: Member): number {
    const dropped = this.connectionsOf(userId).filter((connection) => connection !== except);
    for (const connection of dropped) this.#drop(connection, reason);
    return dropped.length;
  }

  /** The oldest of an address that never signed in gives way. @returns `false` where all are signed in */
  dropStrangerOf(key: string, reason: string): boolean {
    return this.#dropFirst(this.#strangers.get(key), reason);
  }

  /**
   * A stranger gives way: the oldest of the address that has the most of them, so that whoever opens
   * many loses their own. @returns `false` where all are signed in
   */
  dropStranger(reason: string): boolean {
    return this.#dropFirst(this.#strangers.largest(), reason);
  }

  /** Of the user's credential with most connections, the one used longest ago gives way. */
  dropIdlestOf(userId: string, reason: string, except?: Member): boolean {
    const most = mostCommon(this.#byUser.get(userId), credentialOf);
    return this.#dropIdlest(
      most.filter((connection) => connection !== except),
      reason,
    );
  }

  /** The same for an administrator, of the user that has most. */
  dropForAdministrator(reason: string): boolean {
    return this.#dropIdlest(mostCommon(this.#byUser.largest(), credentialOf), reason);
  }

  #dropIdlest(connections: readonly Member[], reason: string): boolean {
    const [first, ...others] = connections;
    if (first === undefined) return false;
    const idlest = others.reduce(
      (least, each) => (each.usedAtMs < least.usedAtMs ? each : least),
      first,
    );
    this.#drop(idlest, reason);
    return true;
  }

  #dropFirst(connections: Iterable<Member>, reason: string): boolean {
    for (const connection of connections) {
      this.#drop(connection, reason);
      return true;
    }
    return false;
  }

  /** Out of the count at once: its 'close' comes later. */
  #drop(connection: Member, reason: string): void {
    this.delete(connection);
    connection.drop(reason);
  }

  #place(connection: Member): void {
    const { userId, client } = connection;
    this.#places.set(connection, { userId });
    if (userId !== undefined) this.#byUser.add(userId, connection);
    else if (!client.isLocal) this.#strangers.add(client.key, connection);
  }

  #remove(connection: Member): void {
    const place = this.#places.get(connection);
    if (place === undefined) return;
    if (place.userId !== undefined) this.#byUser.delete(place.userId, connection);
    else this.#strangers.delete(connection.client.key, connection);
  }
}
