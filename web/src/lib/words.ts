/** The words for what the server tells by others. */
import type { Sandbox } from "../api/types";

export const REASONS: Record<string, string> = {
  setup: "setup runs",
  turn: "an agent works",
  job: "a job runs",
  input: "somebody types",
  request: "OpenCode is used",
  tunnel: "a port is used",
  cpu: "programs compute",
  network: "programs use the network",
};

export const SETUP: Record<string, string> = {
  "setup-running": "setup runs",
  ok: "setup done",
  "setup-failed": "setup failed",
  "git-failed": "clone failed",
  "sys-setup-failed": "system setup failed",
};

export type Tone = "good" | "busy" | "off" | "bad";

const STATES: Record<Sandbox["state"], [string, Tone]> = {
  initializing: ["Starting", "busy"],
  started: ["Running", "good"],
  stopping: ["Stopping", "busy"],
  stopped: ["Stopped", "off"],
  deleting: ["Deleting", "busy"],
  failed: ["Failed", "bad"],
};

export function state(sandbox: Pick<Sandbox, "state" | "setup_status">): { word: string; tone: Tone } {
  const [word, tone] = STATES[sandbox.state] ?? [sandbox.state, "off"];
  return { word: sandbox.setup_status === "setup-running" ? "Setting up" : word, tone };
}

export function because(reasons: string[]): string {
  return reasons.map((it) => REASONS[it] ?? it).join(", ");
}

/** `owner/name` of a repository's URL. */
export function shortUrl(url: string): string {
  const path = url.replace(/^[a-z+]+:\/\/[^/]+\//i, "").replace(/^[^/@]+@[^:/]+:/, "");
  return path.replace(/\.git\/?$/, "").replace(/\/$/, "") || url;
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
