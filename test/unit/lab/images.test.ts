import { describe, expect, test } from 'vitest';
import { RunError } from '../../../driver/host/run.ts';
import { lacksKey } from '../../../lab/images/keyring.ts';
import { mmdebstrapArgv } from '../../../lab/images/mmdebstrap.ts';
import { olderNames } from '../../../lab/images/older.ts';
import { cacheKey, ENGINE_RECIPES } from '../../../lab/images/recipes.ts';
import { options } from '../../../lab/images/rootfs.ts';
import { imageConfig } from '../../../lab/images/workloads.ts';

describe('a cache key', () => {
  test('is the same for the same content and another one for any other', () => {
    const recipe = ENGINE_RECIPES[26];
    const key = cacheKey(recipe);
    expect(key).toMatch(/^[0-9a-f]{12}$/);
    expect(cacheKey(structuredClone(recipe))).toBe(key);
    expect(cacheKey({ ...recipe, packages: [...recipe.packages, 'hello'] })).not.toBe(key);
    expect(cacheKey({ ...recipe, later: undefined })).not.toBe(key);
    expect(cacheKey(ENGINE_RECIPES[28])).not.toBe(key);
  });
});

describe('older content of the cache', () => {
  const [now, old, older] = ['0123456789ab', 'ba9876543210', 'ffffffffffff'];

  test('is what has the same label and another key, with drafts and locks', () => {
    const entries = [
      `engine-26-${now}`, `engine-26-${now}.lock`, `engine-26-${now}.used`,
      `engine-26-${old}`, `engine-26-${old}.lock`, `engine-26-${old}.used`, `engine-26-${older}.draft`, `engine-26-${older}.lock`,
      `engine-28-${old}`, `my-engine-26-${old}`, `engine-26-notes`, `engine-26-${old}.tar`,
    ];
    expect(olderNames(entries, 'engine-26', now)).toEqual([`engine-26-${old}`, `engine-26-${older}`]);
  });

  test('a label that begins like another one is another one', () => {
    const entries = [`workloads-${old}`, `workloads-root-${older}`];
    expect(olderNames(entries, 'workloads', now)).toEqual([`workloads-${old}`]);
    expect(olderNames(entries, 'workloads-root', now)).toEqual([`workloads-root-${older}`]);
  });
});

describe('a root file system\'s build', () => {
  test('has namespaces of its own, and names its keyring and no mirror', () => {
    const argv = mmdebstrapArgv('/keys.gpg', options(ENGINE_RECIPES[26]), 'trixie', '/target');
    expect(argv.slice(0, 6)).toEqual(['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']);
    expect(argv).toContain('--keyring=/keys.gpg');
    expect(argv.slice(-2)).toEqual(['trixie', '/target']);
    expect(argv.join(' ')).not.toMatch(/https?:/);
  });

  test('takes from the later suite what it is told to, and nothing else', () => {
    const argv = options(ENGINE_RECIPES[26]);
    expect(argv.find((arg) => arg.startsWith('--setup-hook='))).toContain('Pin-Priority: 100');
    expect(argv.find((arg) => arg.startsWith('--customize-hook='))).toMatch(/install .* criu\/forky libcompel1\/forky$/);
    expect(options(ENGINE_RECIPES[28]).filter((arg) => arg.includes('hook'))).toEqual([]);
  });

  test('tells a missing key from other failures', () => {
    const failed = (stderr: string): RunError => new RunError(['mmdebstrap'], 'exit code 1', { code: 1, stdout: '', stderr });
    expect(lacksKey(failed('the public key is not available: NO_PUBKEY 6ED0E7B82643E131'))).toBe(true);
    expect(lacksKey(failed('Missing key 4D64FEC119C2029067D6E791F8D2585B8783D481, which is needed to verify signature.'))).toBe(true);
    expect(lacksKey(failed('Temporary failure resolving'))).toBe(false);
    expect(lacksKey(new Error('NO_PUBKEY'))).toBe(false);
  });
});

test('the image\'s configuration depends on nothing but what is in the image', () => {
  const config = imageConfig('abc', '17');
  expect(imageConfig('abc', '17')).toBe(config);
  expect(JSON.parse(config)).toMatchObject({ os: 'linux', rootfs: { type: 'layers', diff_ids: ['sha256:abc'] } });
});
