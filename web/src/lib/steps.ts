import type { LifecycleEvent } from "../api/types";

/** One line for each step: its end stands in the place of its beginning. A warning is a line of its own. */
export function merged<S extends LifecycleEvent>(steps: S[]): S[] {
  const lines: S[] = [];
  for (const step of steps) {
    const begun = step.status === "warning" ? -1 : lines.findLastIndex((it) => it.step === step.step && it.run_kind === step.run_kind && it.status === "started");
    if (begun >= 0 && step.status !== "started") lines[begun] = step;
    else lines.push(step);
  }
  // What a step was at when everything ended goes on no more.
  const over = steps.findLastIndex((it) => it.step === it.run_kind && it.status !== "started");
  const end = steps[over];
  return end === undefined ? lines : lines.filter((it) => it.status !== "started" || it.id > end.id);
}
