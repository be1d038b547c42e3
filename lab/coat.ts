import type { Lab } from './lab.ts';

/**
 * Puts COAT into every host of a lab that has just come up: called at the end of `up`, unless it was
 * told not to. After a host's restart nothing is called: dockerd starts its plugins itself.
 *
 * Nothing is installed yet.
 */
export async function installCoat(_lab: Lab): Promise<void> {
  // the plugin's own installer goes here
}
