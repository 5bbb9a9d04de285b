/**
 * Whose address a connection counts for. Behind a proxy everybody has the proxy's address, and
 * anybody can write a header: so a header counts only where the peer is a proxy that the
 * configuration names, and is read from the right, from the proxy outwards.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { BlockList, isIP, SocketAddress } from 'node:net';
import type { Socket } from 'node:net';

/** Address of whoever came over the local Unix socket. */
export const LOCAL_ADDRESS = 'local';

/** Who is at the other end, and how. */
export interface Client {
  /** IP address, or {@link LOCAL_ADDRESS}; for audit and `last_uses`. */
  readonly address: string;
  /** What limits an address count: it, or the /64 of an IPv6 address, which one customer has whole. */
  readonly key: string;
  /** Over the local Unix socket: only who may read the data folder of the server gets that far. */
  readonly isLocal: boolean;
  /** At the port of recovery mode, which only this machine reaches. */
  readonly isAtRecoveryDoor: boolean;
}

const GROUPS = 8;
const PREFIX_GROUPS = 4;
/** IPv4 addresses as a server that listens on IPv6, too, sees them. */
const MAPPED = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;

/** Proxies one behind another: who writes more of them into the header counts as the last of these. */
const HOPS_MAX = 20;

/** Without zone, and IPv4 as IPv4. @returns `undefined` where the text is no address */
function plainAddress(text: string): string | undefined {
  const bare = text.replace(/%.*$/, '');
  const address = MAPPED.exec(bare)?.[1] ?? bare;
  return isIP(address) === 0 ? undefined : address;
}

/** Whom limits an address count: an IPv4 address, or `2001:db8:0:1::/64`. */
export function addressKey(address: string): string {
  if (isIP(address) !== 6) return address;
  const { address: short } = new SocketAddress({ address, family: 'ipv6' });
  const [head = '', tail] = short.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? 0 : GROUPS - left.length - right.length;
  const groups = [...left, ...Array<string>(Math.max(0, missing)).fill('0'), ...right];
  return `${groups.slice(0, PREFIX_GROUPS).join(':')}::/64`;
}

/**
 * @param proxies addresses, or networks as `10.0.0.0/8`
 * @throws RangeError naming the entry that is neither
 */
export function proxyList(proxies: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of proxies) {
    const [address = '', bits, ...rest] = entry.split('/');
    const family = isIP(address);
    const isWhole = /^\d{1,3}$/.test(bits ?? '0');
    const max = family === 4 ? 32 : 128;
    if (family === 0 || !isWhole || rest.length > 0 || Number(bits ?? 0) > max) {
      throw new RangeError(`"${entry}" is no address and no network such as 10.0.0.0/8`);
    }
    const type = family === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, type);
    else list.addSubnet(address, Number(bits), type);
  }
  return list;
}

/** `1.2.3.4`, `1.2.3.4:80`, `[::1]`, `[::1]:80`, `::1`, as proxies write them. */
function hopAddress(text: string): string | undefined {
  const hop = text.trim().replaceAll('"', '');
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1];
  const withPort = /^(\d{1,3}(?:\.\d{1,3}){3}):\d+$/.exec(hop)?.[1];
  return plainAddress(bracketed ?? withPort ?? hop);
}

/** Elements of a header, the last one first: nobody takes apart what is not asked for. */
function* elementsFromLast(header: string): Generator<string> {
  let end = header.length;
  while (end >= 0) {
    const comma = end === 0 ? -1 : header.lastIndexOf(',', end - 1);
    yield header.slice(comma + 1, end);
    end = comma;
  }
}

/** Hops from the last proxy to the client; RFC 7239 where the older header is absent. */
function* hopsFromLast(headers: IncomingHttpHeaders): Generator<string> {
  const listed = headers['x-forwarded-for'];
  if (listed !== undefined) {
    yield* elementsFromLast(Array.isArray(listed) ? listed.join(',') : listed);
    return;
  }
  for (const element of elementsFromLast(headers.forwarded ?? '')) {
    yield /(?:^|;)\s*for\s*=\s*("[^"]*"|[^;\s]*)/i.exec(element)?.[1] ?? '';
  }
}

export class ClientAddresses {
  readonly #proxies: BlockList;
  readonly #locals = new WeakSet<object>();
  readonly #recoverers = new WeakSet<object>();

  /** @throws RangeError as {@link proxyList} */
  constructor(trustedProxies: readonly string[] = []) {
    this.#proxies = proxyList(trustedProxies);
  }

  /** Told of each connection of the local Unix socket. */
  addLocal(socket: object): void {
    this.#locals.add(socket);
  }

  /** Told of each connection of the port of recovery mode. */
  addRecoverer(socket: object): void {
    this.#recoverers.add(socket);
  }

  isLocal(socket: object): boolean {
    return this.#locals.has(socket);
  }

  isRecoverer(socket: object): boolean {
    return this.#recoverers.has(socket);
  }

  isTrustedProxy(address: string): boolean {
    return this.#proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }

  #isProxy(address: string): boolean {
    return isIP(address) !== 0 && this.isTrustedProxy(address);
  }

  /** Address of the peer of a TCP connection. */
  peerOf(socket: Socket): string {
    return plainAddress(socket.remoteAddress ?? '') ?? 'unknown';
  }

  clientOf(request: Pick<IncomingMessage, 'headers' | 'socket'>): Client {
    const { headers, socket } = request;
    if (this.isLocal(socket)) {
      const address = LOCAL_ADDRESS;
      return { address, key: address, isLocal: true, isAtRecoveryDoor: false };
    }
    let address = this.peerOf(socket);
    if (this.isRecoverer(socket)) {
      // No proxy leads there, so that a header would only help to guess under many addresses.
      return { address, key: addressKey(address), isLocal: false, isAtRecoveryDoor: true };
    }
    // Not read where it does not count: anybody may send a long one.
    const hops = this.#isProxy(address) ? hopsFromLast(headers) : [];
    let read = 0;
    for (const hop of hops) {
      const next = hopAddress(hop);
      // What a proxy we trust could not name, nobody else may name for it.
      if (next === undefined) break;
      address = next;
      read += 1;
      if (read === HOPS_MAX || !this.#isProxy(address)) break;
    }
    return { address, key: addressKey(address), isLocal: false, isAtRecoveryDoor: false };
  }
}
