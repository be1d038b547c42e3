/** Name of a lab that one file of tests makes for itself; another one where the run has a lab of its own (COAT_TEST_LAB), so that two runs do not meet. */
export function ownLab(what: string): string {
  const run = process.env['COAT_TEST_LAB'];
  return process.env[`COAT_TEST_${what.toUpperCase()}_LAB`] ?? (run === undefined ? `t-${what}` : `${run}-${what}`);
}
