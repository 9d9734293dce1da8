/** What happens, as the server tells it: it changes what was read, and a connection that is lost is known at once. */
import type { QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";

import { open } from "./client";
import { Failure } from "./failure";
import { events, type ServerEvent } from "./sse";
import { sandboxes, steps } from "./queries";
import type { Operation, Sandbox, Step } from "./types";

export type Connection = "connecting" | "live" | "lost";

/** The server gives a sign of life every 15 s. */
const SILENCE = 40_000;
const WAITS = [500, 1000, 2000, 4000];

let connection: Connection = "connecting";
const listeners = new Set<() => void>();

function set(to: Connection) {
  if (connection === to) return;
  connection = to;
  for (const listener of listeners) listener();
}

export function useConnection(): Connection {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => connection,
  );
}

/** Follows until it is stopped. */
export function follow(client: QueryClient): () => void {
  const stop = new AbortController();
  void run(client, stop.signal);
  return () => stop.abort();
}

async function run(client: QueryClient, stopped: AbortSignal) {
  let last: string | null = null;
  let failed = 0;
  while (!stopped.aborted) {
    const attempt = new AbortController();
    const giveUp = () => attempt.abort();
    stopped.addEventListener("abort", giveUp);
    let watch = setTimeout(giveUp, SILENCE);
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(giveUp, SILENCE);
    };
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (last !== null) headers["last-event-id"] = last;
      const response = await open("/events", { headers, signal: attempt.signal });
      if (response.body === null) throw Failure.unreachable();
      for await (const event of events(response.body, alive)) {
        failed = 0;
        set("live");
        last = event.id ?? last;
        take(client, event);
      }
    } catch (error) {
      // The session is over: whoever signs in again begins to follow again.
      if (error instanceof Failure && error.status === 401) return;
    } finally {
      clearTimeout(watch);
      stopped.removeEventListener("abort", giveUp);
    }
    if (stopped.aborted) return;
    set("lost");
    await pause(WAITS[Math.min(failed, WAITS.length - 1)] ?? 4000, stopped);
    failed += 1;
  }
}

/** Waits, less where the system says that there is a network again. */
function pause(ms: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      stopped.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener("online", done);
    stopped.addEventListener("abort", done);
  });
}

export function take(client: QueryClient, event: ServerEvent) {
  const data: unknown = JSON.parse(event.data);
  switch (event.name) {
    case "begin":
      // Something may have been missed: all that is on the screen is read again.
      if (!(data as { resumed: boolean }).resumed) void client.invalidateQueries();
      break;
    case "sandbox":
      client.setQueryData(sandboxes.queryKey, (known) => known && put(known, data as Sandbox));
      void client.invalidateQueries({ queryKey: ["services", (data as Sandbox).id] });
      break;
    case "sandbox_gone":
      client.setQueryData(sandboxes.queryKey, (known) => known?.filter((it) => it.id !== (data as { id: string }).id));
      break;
    case "step": {
      const step = data as Step;
      client.setQueryData(steps(step.sandbox_id).queryKey, (known) =>
        known?.some((it) => it.id === step.id) ? known : known && [...known, step],
      );
      break;
    }
    case "operation":
      void client.invalidateQueries({ queryKey: ["steps", (data as Operation).sandbox_id] });
      break;
  }
}

/** The list with this sandbox as it is now. */
export function put(known: Sandbox[], sandbox: Sandbox): Sandbox[] {
  const at = known.findIndex((it) => it.id === sandbox.id);
  return at < 0 ? [...known, sandbox] : known.with(at, sandbox);
}
