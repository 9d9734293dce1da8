/**
 * The second secret of the session. The cookie alone authorizes nothing: cookies ignore ports, and each published port of a
 * sandbox on this host is sent it; `localStorage` is this origin's alone.
 */
import { useSyncExternalStore } from "react";

const KEY = "amika.session";

/** `none`: nobody signed in; `expired`: somebody was, and what is on the screen is kept. */
export type SessionState = "in" | "none" | "expired";

let state: SessionState = localStorage.getItem(KEY) === null ? "none" : "in";
const listeners = new Set<() => void>();

function change(to: SessionState) {
  if (state === to) return;
  state = to;
  for (const listener of listeners) listener();
}

export function secret(): string | null {
  return localStorage.getItem(KEY);
}

export function begin(second: string) {
  localStorage.setItem(KEY, second);
  change("in");
}

export function end() {
  localStorage.removeItem(KEY);
  change("none");
}

/** The server no longer knows this session. `used` is the secret that was refused: a newer one may be there already. */
export function expire(used: string | null) {
  if (used !== secret()) return;
  localStorage.removeItem(KEY);
  if (state === "in") change("expired");
}

export function useSession(): SessionState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => state,
  );
}

// Another tab signed in or out.
window.addEventListener("storage", (event) => {
  if (event.key !== KEY && event.key !== null) return;
  if (secret() !== null) change("in");
  else if (state === "in") change("expired");
});
