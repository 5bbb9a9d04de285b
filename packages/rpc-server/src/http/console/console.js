/**
 * The console: state of the server, sign-in, encryption, records. Nothing is kept in the browser: a
 * reload signs out. Everything that comes from the server is put in as text, never as markup.
 */
import { Rpc } from './rpc.js';

const PAGE_RECORDS = 50;
const READINESS_INTERVAL_MS = 5000;

const element = (id) => document.getElementById(id);
const state = { rpc: undefined, user: undefined, lastId: undefined, columns: [] };

function show(id, isShown) {
  element(id).hidden = !isShown;
}

function problem(error) {
  show('problem', error !== undefined);
  element('problem').textContent = error?.message ?? '';
}

/** Runs a step that a person asked for, and says what went wrong. */
function asked(step) {
  return async (event) => {
    event?.preventDefault();
    problem();
    try {
      await step();
    } catch (error) {
      problem(error);
    }
  };
}

function cell(tag, text) {
  const created = document.createElement(tag);
  created.textContent = text;
  return created;
}

function valueText(value) {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

async function showReadiness() {
  const response = await fetch('/readyz').catch(() => undefined);
  const { mode, reason, retrying, progress } = (await response?.json()) ?? {
    mode: 'not reachable',
  };
  const steps = progress ? ` (${progress.phase}: ${progress.done} of ${progress.total})` : '';
  const detail = retrying ? ', tries again by itself' : steps;
  element('mode').textContent = `${mode}${reason ? `: ${reason}` : ''}${detail}`;
  show('sign-in', mode === 'serving' && state.user === undefined);
}

async function showStatus() {
  const isAdministrator = state.user?.permission === 'admin';
  show('encryption', isAdministrator);
  if (!isAdministrator) return;
  const status = await state.rpc.call('encryption.getStatus');
  const entries = Object.entries(status).filter(([, value]) => value !== null);
  const list = entries.flatMap(([name, value]) => [cell('dt', name), cell('dd', valueText(value))]);
  element('status').replaceChildren(...list);
}

async function listCollections() {
  const mayRead = state.user !== undefined && state.user.permission !== 'none';
  show('records', mayRead);
  if (!mayRead) return;
  const { collections } = await state.rpc.call('system.getStatus');
  const names = collections.filter((name) => name !== 'user' && name !== 'token');
  element('collection').replaceChildren(...names.map((name) => cell('option', name)));
  await showRecords();
}

async function showRecords() {
  state.lastId = undefined;
  state.columns = [];
  element('rows').replaceChildren();
  element('columns').replaceChildren();
  await nextPage();
  show('empty', element('rows').childElementCount === 0);
}

/** Columns are the fields of the records seen so far; the id comes first. */
function useColumns(records) {
  const names = new Set(['id', ...state.columns, ...records.flatMap(Object.keys)]);
  names.delete('type');
  state.columns = [...names];
  const head = document.createElement('tr');
  head.append(...state.columns.map((name) => cell('th', name)), cell('th', ''));
  element('columns').replaceChildren(head);
}

function fillRow(row, record, name) {
  const reveal = cell('button', 'Reveal');
  reveal.addEventListener(
    'click',
    asked(async () => {
      fillRow(row, await state.rpc.call(`${name}.reveal`, { id: record.id }), name);
    }),
  );
  const last = document.createElement('td');
  last.append(reveal);
  const texts = state.columns.map((column) => valueText(record[column] ?? ''));
  row.replaceChildren(...texts.map((text) => cell('td', text)), last);
}

async function nextPage() {
  const name = element('collection').value;
  const after = state.lastId === undefined ? {} : { after: state.lastId };
  const records = await state.rpc.call(`${name}.getAll`, { limit: PAGE_RECORDS, ...after });
  useColumns(records);
  for (const record of records) {
    const row = document.createElement('tr');
    fillRow(row, record, name);
    element('rows').append(row);
  }
  state.lastId = records.at(-1)?.id;
  show('more', records.length === PAGE_RECORDS);
}

async function runOperation(method, describe) {
  show('outcome', false);
  element('bar').removeAttribute('value');
  element('phase').textContent = '';
  show('operation', true);
  try {
    element('outcome').textContent = describe(await state.rpc.call(method));
    show('outcome', true);
  } finally {
    show('operation', false);
  }
  await showStatus();
}

function onNotification(method, params) {
  if (method === 'progress') {
    const { phase, done, total } = params;
    element('phase').textContent = total > 0 ? `${phase}: ${done} of ${total}` : phase;
    if (total > 0) {
      element('bar').max = total;
      element('bar').value = done;
    }
  }
}

function signedOut() {
  state.user = undefined;
  for (const id of ['who', 'encryption', 'records']) show(id, false);
  element('rows').replaceChildren();
  element('status').replaceChildren();
  void showReadiness();
}

function disconnected() {
  state.rpc = undefined;
  signedOut();
}

async function signIn() {
  const otp = element('otp').value;
  const credentials = { email: element('name').value, password: element('password').value };
  state.rpc ??= await Rpc.connect(onNotification, disconnected);
  state.user = await state.rpc.call(
    'session.signIn',
    otp === '' ? credentials : { ...credentials, otp },
  );
  element('password').value = '';
  element('otp').value = '';
  element('who-name').textContent = state.user.email;
  show('who', true);
  show('sign-in', false);
  await Promise.all([showStatus(), listCollections()]);
}

element('sign-in').addEventListener('submit', asked(signIn));
element('sign-out').addEventListener(
  'click',
  asked(async () => {
    await state.rpc.call('session.signOut');
    signedOut();
  }),
);
element('collection').addEventListener('change', asked(showRecords));
element('more').addEventListener('click', asked(nextPage));
element('verify').addEventListener(
  'click',
  asked(() =>
    runOperation('encryption.verify', ({ isSound, records, problems }) =>
      isSound
        ? `${records} records are sound.`
        : `${problems.length} problems: ${valueText(problems)}`,
    ),
  ),
);
element('rotate').addEventListener(
  'click',
  asked(() =>
    runOperation(
      'encryption.rotateKeys',
      ({ activeKeyId, records }) =>
        `Key ${activeKeyId} is active; ${records} records were encrypted anew.`,
    ),
  ),
);
void showReadiness();
setInterval(() => void showReadiness(), READINESS_INTERVAL_MS);
