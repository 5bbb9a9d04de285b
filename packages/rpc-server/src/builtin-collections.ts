/**
 * The collections that every server has: the kinds of credentials that Xen Orchestra, Crowd and
 * Conexor keep. Configuration adds more under `[collections.<name>]`.
 *
 * `user` and `token` belong to the server itself and have methods of their own; all others get
 * theirs from the definition.
 */
import type { CollectionDefinition, FieldDefinition, IndexDefinition } from '@vault/redis-store';

const STRING: FieldDefinition = { type: 'string', optional: true };
const NUMBER: FieldDefinition = { type: 'number', optional: true };
const BOOLEAN: FieldDefinition = { type: 'boolean', optional: true };
const JSON_VALUE: FieldDefinition = { type: 'json', optional: true };
const SECRET: FieldDefinition = { type: 'secret', optional: true };
const REQUIRED_STRING: FieldDefinition = { type: 'string', optional: false };
const REQUIRED_SECRET: FieldDefinition = { type: 'secret', optional: false };
const REQUIRED_NUMBER: FieldDefinition = { type: 'number', optional: false };

/** Where secrets are sent, and how safely: see `methods/destination-rule.ts`. */
const TO = { destination: true } as const;

function exact(...fields: readonly string[]): IndexDefinition {
  return { kind: 'exact', fields };
}
function unique(...fields: readonly string[]): IndexDefinition {
  return { kind: 'unique', fields };
}

/** Names of the collections that only `user.*`, `token.*` and `session.*` reach. */
export const SERVER_COLLECTIONS = ['user', 'token'] as const;

export const BUILTIN_COLLECTIONS = {
  /** Hosts of a hypervisor that the service connects to. */
  server: {
    fields: {
      host: { ...REQUIRED_STRING, ...TO },
      username: REQUIRED_STRING,
      password: REQUIRED_SECRET,
      label: STRING,
      httpProxy: { ...SECRET, ...TO },
      allowUnauthorized: { ...BOOLEAN, ...TO },
      readOnly: BOOLEAN,
      enabled: BOOLEAN,
    },
    indexes: { host: unique('host'), username: exact('username'), label: exact('label') },
  },
  /** Backup targets. The URL is secret: for SMB and S3 it carries user and password. */
  remote: {
    fields: {
      name: REQUIRED_STRING,
      url: { ...REQUIRED_SECRET, ...TO },
      // Of a mount or an S3 client: an endpoint, another server, a check that is left out.
      options: { ...SECRET, ...TO },
      proxy: { ...STRING, ...TO },
      enabled: BOOLEAN,
    },
    indexes: { name: exact('name'), proxy: exact('proxy') },
  },
  /** People and programs that sign in to this server. */
  user: {
    fields: {
      email: REQUIRED_STRING,
      permission: REQUIRED_STRING,
      pwHash: SECRET,
      otpSecret: SECRET,
      mayReveal: BOOLEAN,
      groups: JSON_VALUE,
      preferences: JSON_VALUE,
      sessionGeneration: STRING,
      otpLastStep: NUMBER,
      signInAddresses: JSON_VALUE,
    },
    indexes: {
      email: unique('email'),
      permission: exact('permission'),
      emailDomain: { kind: 'exact', fields: ['email'], transform: 'emailDomain' },
    },
  },
  /** Bearer tokens: the record holds the SHA-256 (base64url) of the token, never the token. */
  token: {
    fields: {
      userId: REQUIRED_STRING,
      hash: REQUIRED_STRING,
      createdAtMs: REQUIRED_NUMBER,
      expiresAtMs: REQUIRED_NUMBER,
      description: STRING,
      clientId: STRING,
      lastUses: JSON_VALUE,
      sessionGenerations: JSON_VALUE,
      scope: JSON_VALUE,
      createdBy: STRING,
    },
    indexes: {
      hash: { kind: 'unique', fields: ['hash'], normalisation: 'none' },
      userId: { kind: 'exact', fields: ['userId'], normalisation: 'none' },
    },
  },
  /** User directories: LDAP, a remote Crowd, Microsoft Entra ID. */
  directory: {
    fields: {
      name: REQUIRED_STRING,
      // Kind and tenant say where it is where there is no URL: the sign-in service of Entra ID has the tenant in its address.
      type: { ...REQUIRED_STRING, ...TO },
      url: { ...STRING, ...TO },
      bindDn: STRING,
      bindPassword: SECRET,
      baseDn: STRING,
      tenantId: { ...STRING, ...TO },
      clientId: STRING,
      clientSecret: SECRET,
      applicationName: STRING,
      applicationPassword: SECRET,
      enabled: BOOLEAN,
    },
    indexes: { name: unique('name'), type: exact('type'), tenantId: exact('tenantId') },
  },
  /** Outgoing mail. */
  mail: {
    fields: {
      name: REQUIRED_STRING,
      host: { ...REQUIRED_STRING, ...TO },
      port: { ...NUMBER, ...TO },
      secure: { ...BOOLEAN, ...TO },
      username: STRING,
      password: SECRET,
      from: STRING,
    },
    indexes: { name: unique('name'), host: exact('host'), username: exact('username') },
  },
  /** HTTP proxies, and backup proxies with their authentication token. */
  proxy: {
    fields: {
      name: REQUIRED_STRING,
      address: { ...REQUIRED_STRING, ...TO },
      username: STRING,
      password: SECRET,
      authenticationToken: SECRET,
      enabled: BOOLEAN,
    },
    indexes: { name: unique('name'), address: exact('address') },
  },
  /** Single sign-on by SAML. */
  saml: {
    fields: {
      name: REQUIRED_STRING,
      entryPoint: { ...REQUIRED_STRING, ...TO },
      issuer: STRING,
      identityProviderCertificate: STRING,
      privateKey: SECRET,
      decryptionKey: SECRET,
      enabled: BOOLEAN,
    },
    indexes: { name: unique('name'), issuer: exact('issuer') },
  },
  /** Databases that reports and synchronisations connect to. */
  database: {
    fields: {
      name: REQUIRED_STRING,
      // Some protocols send the password as it is.
      engine: { ...STRING, ...TO },
      host: { ...STRING, ...TO },
      port: { ...NUMBER, ...TO },
      // Some protocols take a whole connection string for it.
      databaseName: { ...STRING, ...TO },
      username: STRING,
      password: SECRET,
      connectionString: { ...SECRET, ...TO },
    },
    indexes: { name: unique('name'), host: exact('host'), engine: exact('engine') },
  },
  /** Anything else: a name and its value. */
  secret: {
    fields: { name: REQUIRED_STRING, value: REQUIRED_SECRET, description: STRING },
    indexes: { name: unique('name') },
  },
} as const satisfies Record<string, CollectionDefinition>;
