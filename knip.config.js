// Finds files that nothing uses, dependencies that nothing imports, and imports that no manifest names.
// Unused exports are left to review: what a package exports within itself is tested there.
const entries = ['src/index.ts!', 'src/main.ts!', 'bin/*.js!', 'test/**/*.test.ts'];
const project = ['src/**/*.ts!', 'test/**/*.ts'];

/** @type {import('knip').KnipConfig} */
export default {
  include: ['files', 'dependencies', 'unlisted', 'unresolved'],
  // Run as a program, by its path: scripts/checks/check-packages.mjs.
  ignoreDependencies: ['@arethetypeswrong/cli'],
  workspaces: {
    '.': {
      entry: ['scripts/*.mjs', 'scripts/checks/*.mjs', 'bench/*.mjs', 'test/**/*.test.ts'],
      project: ['scripts/**/*.mjs', 'bench/**/*.mjs', 'test/**/*.ts'],
    },
    'packages/*': { entry: entries, project },
    'packages/crypto': { entry: [...entries, 'src/files/index.ts!'], project },
    'packages/rpc-server': {
      entry: [...entries, 'src/protocol.ts!'],
      project,
      // Not ours to import: fastify's own, held at the last version that needs no Node 22 (test/e2e/install.e2e.test.ts).
      ignoreDependencies: ['light-my-request'],
    },
  },
};
