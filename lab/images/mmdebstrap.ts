/**
 * The argument list that makes a directory from a suite's packages. No mirror is named: mmdebstrap
 * takes Debian's own default. It gets namespaces of its own, so that neither its mounts nor its
 * processes outlive it.
 *
 * @param keyring with one of whose keys the suite must be signed; named, because mmdebstrap finds
 *   Debian's by itself only where gpg is installed or this machine is a Debian
 */
export function mmdebstrapArgv(keyring: string, options: readonly string[], suite: string, directory: string): string[] {
  return [
    'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc',
    'mmdebstrap', '--mode=root', '--format=directory', `--keyring=${keyring}`,
    // a testing suite's index may be older than it promises to be
    '--aptopt=Acquire::Check-Valid-Until "false"',
    ...options,
    suite,
    directory,
  ];
}
