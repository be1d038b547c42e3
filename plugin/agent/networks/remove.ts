import type { EngineNetworks } from '../../engine/networks.ts';

/** Takes all networks of ours off an engine. @param failed told of each that stays, and of an engine that does not answer */
export async function removeNetworks(engine: EngineNetworks, failed: (error: unknown) => void): Promise<void> {
  try {
    for (const { id, ours } of await engine.list()) if (ours) await engine.remove(id).catch(failed);
  } catch (error) {
    failed(error);
  }
}
