import { defineConfig } from 'vitest/config';

/**
 * Three projects: `unit` needs nothing, `kernel` needs root and makes network namespaces of its own,
 * `hosts` boots the lab. Files of the last two run one after the other: they share two cores.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/contract/**/*.test.ts'], testTimeout: 20_000 } },
      { test: { name: 'kernel', include: ['test/kernel/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false } },
      {
        test: {
          name: 'hosts',
          include: ['test/hosts/**/*.test.ts'],
          globalSetup: ['test/support/hosts-setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
