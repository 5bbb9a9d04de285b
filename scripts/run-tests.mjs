// Runs the build, every check and every jest project, one after the other, also after one has failed.
// Prints a line for each, and last `N passed, N failed`: each step without jest counts as one, each test of jest as one.
// The exit status is 0 only when nothing failed and tests did run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { listChecks } from './checks/run-all.mjs';

const bin = (path) => ['node', join('node_modules', path)];
const checks = listChecks().map((path) => ({
  name: basename(path, '.mjs'),
  command: ['node', path],
}));
const STEPS = [
  { name: 'build and types', command: [...bin('typescript/bin/tsc'), '-b'] },
  { name: 'lint', command: [...bin('oxlint/bin/oxlint'), '--deny-warnings'] },
  { name: 'format', command: [...bin('oxfmt/bin/oxfmt'), '--check'] },
  ...checks,
  { name: 'unused code', command: [...bin('knip/bin/knip.js'), '--no-config-hints'] },
  // Only that it runs: a figure of a busy machine says nothing.
  { name: 'benchmarks', command: ['node', 'bench/run.mjs', '--quick'] },
];

/** ES modules in jest need the flag on every version of Node that we support. */
const JEST = [
  'node',
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
];

function run([program, ...args]) {
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) console.error(error.message);
  return status === 0;
}

/** Runs all jest projects. @returns counts; a file that could not be loaded counts as one failure */
function runJest() {
  const folder = mkdtempSync(join(tmpdir(), 'vault-jest-'));
  const output = join(folder, 'results.json');
  try {
    const didPass = run([...JEST, '--json', `--outputFile=${output}`]);
    if (!existsSync(output)) return { passed: 0, failed: 1 };
    const results = JSON.parse(readFileSync(output, 'utf8'));
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    // Jest may fail without a failed test (no tests found, a worker that crashed): that is one failure too.
    return { passed: results.numPassedTests, failed: failed || (didPass ? 0 : 1) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

let passed = 0;
let failed = 0;
const failedSteps = [];
for (const { name, command } of STEPS) {
  const startMs = Date.now();
  console.log(`\n== ${name}`);
  const didPass = run(command);
  if (didPass) passed += 1;
  else failed += 1;
  if (!didPass) failedSteps.push(name);
  console.log(`== ${name}: ${didPass ? 'passed' : 'FAILED'} (${Date.now() - startMs} ms)`);
}
console.log('\n== tests');
const tests = runJest();
if (tests.passed === 0 && tests.failed === 0) tests.failed = 1;
if (failedSteps.length > 0) console.log(`\nFailed: ${failedSteps.join(', ')}`);
console.log(`\n${passed + tests.passed} passed, ${failed + tests.failed} failed`);
process.exitCode = failed + tests.failed === 0 ? 0 : 1;
