import { build, type BuildOptions, type Plugin } from 'esbuild';
import { chmod, copyFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { metadata, METADATA_WORD } from '../cli/metadata.ts';
import { CLI, DIST, FILES, ROOT } from './places.ts';

/**
 * Parts of dockerode that speak SSH and BuildKit. The agent uses neither; left out, the bundle is
 * half as large and starts in half the time.
 */
const UNUSED = ['ssh2', '@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs'];

/** Packages with a part compiled for the processor, which cannot be bundled. */
const NATIVE = ['netlink', 'koffi'];

const COMMON: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  absWorkingDir: ROOT,
  legalComments: 'external',
  logLevel: 'warning',
};

/** Bundles our code: dist/files for the plugin's root file system, and dist/docker-coat. */
export async function bundle(): Promise<void> {
  await mkdir(DIST, { recursive: true });
  // what lies in dist is CommonJS whatever the package around it is
  await writeFile(join(DIST, 'package.json'), '{"type":"commonjs"}\n');
  await Promise.all([bundleAgent(), bundleCli()]);
}

async function bundleAgent(): Promise<void> {
  const place = join(FILES, 'usr/lib/coat');
  await rm(FILES, { recursive: true, force: true });
  await mkdir(place, { recursive: true });
  const result = await build({ ...agentOptions('plugin/agent/main.ts', join(place, 'agent.cjs')), metafile: true });
  await build({ ...COMMON, entryPoints: ['plugin/pager/main.ts'], outfile: join(place, 'pager.cjs'), external: NATIVE });
  await copyFile(join(ROOT, 'plugin/runtime/coat-runc'), join(place, 'coat-runc'));
  await chmod(join(place, 'coat-runc'), 0o755);
  const imports = Object.values(result.metafile.outputs).flatMap((output) => output.imports);
  if (imports.some(({ path }) => NATIVE.includes(path))) await shipNative(join(place, 'node_modules'));
}

/** How the agent becomes one file, and anything else that has its parts in it. */
export const agentOptions = (entry: string, outfile: string): BuildOptions => ({ ...COMMON, entryPoints: [entry], outfile, external: NATIVE, plugins: [leaveOut(UNUSED)] });

/** Of the native packages what they need to run. */
const SHIPPED = [
  'netlink/package.json', 'netlink/LICENSE', 'netlink/dist', 'netlink/prebuilds', 'node-gyp-build',
  'koffi/package.json', 'koffi/LICENSE.txt', 'koffi/index.js', 'koffi/index.cjs', 'koffi/src/koffi', `@koromix/koffi-linux-${process.arch}`,
];
/** Types, sources, and what is compiled for processors and C libraries that nobody runs this on. */
const UNSHIPPED = /\.(map|d\.ts|cc|hh|inc|def)$|prebuilds\/linux-(arm|ia32)(\/|$)|\/(abi|musl_\w+)(\/|$)/;

/** The packages and what they load their compiled parts with. */
async function shipNative(target: string): Promise<void> {
  for (const part of SHIPPED) await cp(join(ROOT, 'node_modules', part), join(target, part), { recursive: true, filter: (path) => !UNSHIPPED.test(path) });
}

/** Makes packages empty that are loaded by others but not used. */
function leaveOut(names: readonly string[]): Plugin {
  return {
    name: 'leave-out',
    setup(bundling) {
      bundling.onResolve({ filter: /.*/ }, ({ path }) => (names.includes(path) ? { path, namespace: 'left-out' } : undefined));
      bundling.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {};', loader: 'js' }));
    },
  };
}

/** The command as one file of JavaScript. */
export async function bundleProgram(outfile: string, options: BuildOptions = {}): Promise<void> {
  await build({ ...COMMON, entryPoints: ['plugin/cli/main.ts'], outfile, ...options });
}

/**
 * One file that is a shell script and a JavaScript program, for a machine with Node. Docker starts it for its description on
 * every `docker help`, so the shell answers that; everything else is for Node, which takes the shell's
 * line for a string and a comment. Node reads additional certificates at each start, and the CLI needs none.
 */
async function bundleCli(): Promise<void> {
  const draft = join(DIST, 'cli.cjs');
  await bundleProgram(draft);
  const description = JSON.stringify(metadata);
  if (description.includes("'")) throw new Error(`${basename(CLI)}: the description must not have a quote in it`);
  const shell = `':' //; [ "$1" = ${METADATA_WORD} ] && { echo '${description}'; exit; }; unset NODE_EXTRA_CA_CERTS; exec node "$0" "$@"`;
  const program = (await readFile(draft, 'utf8')).replace(/^#!.*\n/, '');
  await writeFile(CLI, `#!/bin/sh\n${shell}\n${program}`);
  await chmod(CLI, 0o755);
  await rm(draft);
}

if (process.argv[1] === import.meta.filename) await bundle();
