/** Times that stay true while one looks at them. */
import { Tooltip } from "@mantine/core";
import { useSyncExternalStore } from "react";

import { ago, exact } from "../lib/time";

let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (timer === undefined) now = Date.now();
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, 10_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** What time it is, to 10 s: one clock for the page. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

export function Ago({ at }: { at: string | null | undefined }) {
  const current = useNow();
  if (at == null) return <span>never</span>;
  const time = Date.parse(at);
  return (
    <Tooltip label={exact(time)}>
      <time dateTime={at}>{ago(time, current)}</time>
    </Tooltip>
  );
}
