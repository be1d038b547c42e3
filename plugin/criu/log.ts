/** The errors of a CRIU log, oldest first, without time stamps, on one line: `(00.012345)     42: Error (criu/…): text`. */
export function lastErrors(log: string, most = 4): string {
  return log
    .split('\n')
    // without CAP_SYS_RESOURCE CRIU cannot raise its own limit, and goes on
    .filter((line) => /Error \(/.test(line) && !line.includes('RLIMIT_NOFILE for self'))
    .map((line) => line.replace(/^\([0-9.]+\)\s*(\d+: )?/, '').replace(/^Error \((.*?)\):\s*/, '$1: ').trim())
    .slice(0, most)
    .join('; ');
}
