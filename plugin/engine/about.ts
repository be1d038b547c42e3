import type Docker from 'dockerode';
import { engineError } from './connection.ts';

/** The engine, as far as `docker coat status` shows it. */
export interface EngineAbout {
  version: string;
  apiVersion: string;
  /** OCI runtimes it knows. */
  runtimes: string[];
  /** Storage driver. */
  storage: string;
}

/** @throws CoatError `engine-away` */
export async function aboutEngine(docker: Docker): Promise<EngineAbout> {
  try {
    const [version, info] = await Promise.all([docker.version(), docker.info() as Promise<{ Runtimes?: Record<string, unknown>; Driver: string }>]);
    return { version: version.Version, apiVersion: version.ApiVersion, runtimes: Object.keys(info.Runtimes ?? {}), storage: info.Driver };
  } catch (error) {
    throw engineError('to say what it is', error);
  }
}
