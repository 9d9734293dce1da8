/** Which sandboxes of a list are shown, and in which order. */
import type { Me, Sandbox } from "../api/types";
import { shortUrl, state } from "./words";

export const SORTS = { newest: "Newest first", name: "Name", active: "Last active", state: "State" } as const;
export type Sort = keyof typeof SORTS;

export const STATES = { all: "All states", good: "Running", busy: "Busy", off: "Stopped", bad: "Failed" } as const;
export type StateFilter = keyof typeof STATES;

export interface Filter {
  text: string;
  state: StateFilter;
  sort: Sort;
  /** Members see nothing else anyway. */
  mine: boolean;
}

export function shown(all: Sandbox[], filter: Filter, me: Pick<Me, "id">): Sandbox[] {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = all.filter((it) => {
    if (filter.state !== "all" && state(it).tone !== filter.state) return false;
    if (filter.mine && it.user_id !== me.id) return false;
    if (words.length === 0) return true;
    const text = [it.name, it.repo_url, it.branch, it.sandbox_preset, it.created_by.name, state(it).word]
      .join(" ")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return found.sort(ORDERS[filter.sort]);
}

const ORDER = { bad: 0, busy: 1, good: 2, off: 3 };
const time = (text: string | null | undefined) => (text == null ? 0 : Date.parse(text));

const ORDERS: Record<Sort, (a: Sandbox, b: Sandbox) => number> = {
  newest: (a, b) => time(b.created_at) - time(a.created_at) || a.name.localeCompare(b.name),
  name: (a, b) => a.name.localeCompare(b.name),
  active: (a, b) => time(b.last_active_at) - time(a.last_active_at) || a.name.localeCompare(b.name),
  state: (a, b) => ORDER[state(a).tone] - ORDER[state(b).tone] || a.name.localeCompare(b.name),
};

/** Where a sandbox comes from, in a few words. */
export function source(sandbox: Sandbox): string {
  if (sandbox.repo_url == null) return "no repository";
  const name = shortUrl(sandbox.repo_url);
  return sandbox.branch == null ? name : `${name} · ${sandbox.branch}`;
}
