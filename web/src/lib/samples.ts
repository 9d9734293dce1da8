import type { Stats } from "../api/types";

/** Columns of a chart; rates are what the counters grew by in a second. */
export interface Samples {
  times: number[];
  cpu: number[];
  memory: number[];
  received: number[];
  sent: number[];
  read: number[];
  written: number[];
  last: Stats | null;
}

/** Half an hour of one each 2 s: a page that stays open does not grow. */
const KEPT = 900;

export function add(before: Samples | null, stats: Stats | undefined): Samples {
  const from = before ?? { times: [], cpu: [], memory: [], received: [], sent: [], read: [], written: [], last: null };
  const last = from.last;
  if (!stats || (last && stats.time <= last.time)) return from;
  const seconds = last ? (stats.time - last.time) / 1000 : 1;
  // A counter that is less than before began anew with the container.
  const rate = (now: number, then: number | undefined) => (then === undefined || now < then ? 0 : (now - then) / seconds);
  const and = (column: number[], value: number) => [...column.slice(1 - KEPT), value];
  return {
    times: and(from.times, stats.time / 1000),
    cpu: and(from.cpu, stats.cpu_percent ?? 0),
    memory: and(from.memory, stats.memory_bytes),
    received: and(from.received, rate(stats.network_received_bytes, last?.network_received_bytes)),
    sent: and(from.sent, rate(stats.network_sent_bytes, last?.network_sent_bytes)),
    read: and(from.read, rate(stats.disk_read_bytes, last?.disk_read_bytes)),
    written: and(from.written, rate(stats.disk_written_bytes, last?.disk_written_bytes)),
    last: stats,
  };
}
