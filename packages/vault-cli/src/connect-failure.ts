import { ServerUnreachableError, systemErrorCode } from './errors.js';
import type { ServerAddress } from './server-address.js';

interface Explanation {
  readonly problem: string;
  readonly advice: string;
}

const CHECK_SERVER = 'check that vault-server runs there, and the host and port of the URL';
const CERTIFICATE: Explanation = {
  problem: 'its TLS certificate is not trusted here',
  advice:
    'name its authority with NODE_EXTRA_CA_CERTS=<file>, or accept any certificate with --allowUnauthorized',
};

/** System and TLS error codes, to what a person can do about them. */
const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  ECONNREFUSED: { problem: 'nothing listens there', advice: CHECK_SERVER },
  ENOTFOUND: { problem: 'there is no such host', advice: 'check the host name of the URL' },
  EAI_AGAIN: { problem: 'the host name cannot be resolved now', advice: 'check DNS and network' },
  EHOSTUNREACH: { problem: 'there is no route to it', advice: 'check network and firewall' },
  ENETUNREACH: { problem: 'there is no route to it', advice: 'check network and firewall' },
  ETIMEDOUT: { problem: 'it does not answer', advice: 'check network and firewall' },
  ECONNRESET: { problem: 'it closed the connection', advice: CHECK_SERVER },
  EPROTO: {
    problem: 'it does not speak TLS',
    advice: 'a server without TLS needs http:// in its URL',
  },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    problem: 'it does not speak TLS',
    advice: 'a server without TLS needs http:// in its URL',
  },
  ERR_SSL_PACKET_LENGTH_TOO_LONG: {
    problem: 'it does not speak TLS',
    advice: 'a server without TLS needs http:// in its URL',
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: CERTIFICATE,
  SELF_SIGNED_CERT_IN_CHAIN: CERTIFICATE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CERTIFICATE,
  CERT_HAS_EXPIRED: {
    problem: 'its TLS certificate has expired',
    advice: 'renew the certificate, or accept any with --allowUnauthorized',
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    problem: 'its TLS certificate is for another host name',
    advice: 'use the name that the certificate has, or accept any with --allowUnauthorized',
  },
};

/** The same of a Unix socket. */
const SOCKET_EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  ENOENT: {
    problem: 'there is no such socket',
    advice: 'check that vault-server runs, and the path',
  },
  ECONNREFUSED: {
    problem: 'nothing listens there any more',
    advice: 'check that vault-server runs',
  },
  EACCES: {
    problem: 'this user may not open it',
    advice: 'run it as the user of the server, or as root',
  },
  ENOTSOCK: { problem: 'it is no socket', advice: 'check the path' },
};

/** Turns what `ws` throws before the connection is open into a sentence and an advice. */
export function explainConnectFailure(
  address: ServerAddress,
  error: Error,
): ServerUnreachableError {
  const { problem, advice } = explain(
    error,
    address.socketPath === undefined ? EXPLANATIONS : SOCKET_EXPLANATIONS,
  );
  return new ServerUnreachableError(`cannot connect to ${address.label}: ${problem}`, {
    cause: error,
    advice,
  });
}

function explain(error: Error, explanations: Readonly<Record<string, Explanation>>): Explanation {
  const code = systemErrorCode(firstOf(error));
  const known = code === undefined ? undefined : explanations[code];
  if (known !== undefined) return known;
  // `ws` has no code for these two; the texts are those of version 8.
  const status = /^Unexpected server response: (\d{3})$/.exec(error.message)?.[1];
  if (status !== undefined) {
    return {
      problem: `it answers HTTP status ${status} where a WebSocket was expected`,
      advice: 'check that the URL is that of a vault-server, and what proxies stand before it',
    };
  }
  if (error.message === 'Opening handshake has timed out') {
    return { problem: 'it does not answer', advice: CHECK_SERVER };
  }
  return { problem: code ?? error.message, advice: CHECK_SERVER };
}

/** A host with several addresses fails once for each: the first failure stands for all. */
function firstOf(error: Error): unknown {
  return error instanceof AggregateError && error.errors.length > 0
    ? (error.errors as unknown[])[0]
    : error;
}
