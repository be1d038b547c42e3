/**
 * What the paper found: Yu, Calagna, Giaccone, Chiasserini, "TCP Connection Management for Stateful Container Migration at the Network
 * Edge", MedComNet 2023, doi 10.1109/MedComNet58619.2023.10168849; the means of the 50 runs in the logs of its artifact
 * (zenodo.org/record/7919771). Three virtual machines, Podman 4.4, CRIU 3.16.1. All in ms, but for what says otherwise.
 */
export interface Published {
  /** MB of the image. */
  memory: number;
  gap: number;
  /** With SSH. */
  total: number;
  /** Without SSH where the logs tell it apart; in the order in which they are done. */
  steps: readonly { name: string; ms: number }[];
  /** Of the total, what SSH took, %. */
  ssh: number;
  /** The paper's own network steps, of the total without SSH, %. */
  network: number;
}

export const PUBLISHED: Readonly<Record<'sockperf' | 'iperf3', Published>> = {
  sockperf: {
    memory: 9.7, gap: 5110, total: 5926, ssh: 56, network: 14.1,
    steps: [{ name: 'podman checkpoint', ms: 852 }, { name: 'clear namespace', ms: 181 }, { name: 'scp', ms: 1186 }, { name: 'make namespace', ms: 78 }, { name: 'flows and ARP', ms: 114 }, { name: 'podman restore', ms: 231 }],
  },
  iperf3: {
    memory: 1.5, gap: 3710, total: 4451, ssh: 58, network: 13.5,
    steps: [{ name: 'podman checkpoint', ms: 781 }, { name: 'clear namespace', ms: 128 }, { name: 'scp', ms: 618 }, { name: 'make namespace', ms: 55 }, { name: 'flows and ARP', ms: 69 }, { name: 'podman restore', ms: 217 }],
  },
};

/** ms. */
export const ROUND_TRIP = { before: 23.3, after: 5 };
/** Mbit/s. */
export const THROUGHPUT = { before: 95.4, after: 475 };
