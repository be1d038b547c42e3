import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from '../../driver/host/run.ts';
import { bundleProgram } from './build.ts';
import { makePlugin } from './main.ts';
import { FUSE, nodeToCarry } from './node.ts';
import { BUNDLE, DIST, EXECUTABLE, PLUGIN_ARCHIVE, RELEASE, ROOT } from './places.ts';

/**
 * What a host gets, in dist/release: the plugin's bundle, `docker-coat` as one executable file that needs no Node, and their
 * checksums. Packed so that the same content gives the same bytes.
 *
 * @throws CoatError `no-node`
 */
export async function makeRelease(tell: (line: string) => void): Promise<void> {
  await makePlugin(tell);
  await rm(RELEASE, { recursive: true, force: true });
  await mkdir(RELEASE, { recursive: true });
  const files = [await packPlugin(), await makeExecutable(tell)];
  const sums = await Promise.all(files.map(async (file) => `${await sha256(file)}  ${basename(file)}\n`));
  await writeFile(join(RELEASE, 'SHA256SUMS'), sums.join(''));
  for (const file of files) tell(`${file}, ${Math.round((await stat(file)).size / 1e6)} MB`);
}

/** The bundle as one file, which `docker plugin create` takes once it is unpacked. */
async function packPlugin(): Promise<string> {
  const file = PLUGIN_ARCHIVE;
  const same = ['--sort=name', '--mtime=@0', '--numeric-owner', '--use-compress-program=gzip -n'];
  await run(['tar', '--create', ...same, `--file=${file}`, `--directory=${BUNDLE}`, 'config.json', 'rootfs'], { timeout: 600_000 });
  return file;
}

/** The command with Node around it, without what of Node only debuggers read. */
async function makeExecutable(tell: (line: string) => void): Promise<string> {
  const file = EXECUTABLE;
  const node = await nodeToCarry();
  const [program, config, blob, draft] = ['program.cjs', 'sea.json', 'sea.blob', 'node'].map((name) => join(DIST, name)) as [string, string, string, string];
  try {
    await bundleProgram(program, { minify: true, legalComments: 'none' });
    // compiled code would start no faster: the program is small, and help loads a part of it
    await writeFile(config, JSON.stringify({ main: program, output: blob, disableExperimentalSEAWarning: true }));
    await run([node, '--experimental-sea-config', config]);
    await copyFile(node, draft);
    await chmod(draft, 0o755);
    await run(['strip', draft]).catch(() => tell('without strip(1), of the package binutils, docker-coat is larger than it need be'));
    await run([process.execPath, join(ROOT, 'node_modules/postject/dist/cli.js'), draft, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE]);
    await rename(draft, file);
  } finally {
    for (const path of [program, config, blob, draft]) await rm(path, { force: true });
  }
  return file;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

if (process.argv[1] === import.meta.filename) await makeRelease((line) => console.log(`release: ${line}`));
