/** Steps of what was done to a sandbox, and setup's output as it runs. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Check, CircleDashed, LoaderCircle, TriangleAlert, X } from "lucide-react";
import { useState } from "react";

import { steps } from "../../api/queries";
import type { LifecycleEvent, Sandbox } from "../../api/types";
import { merged } from "../../lib/steps";
import { Ago } from "../../ui/ago";
import { Card, Empty } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import { cancel } from "../actions";
import { LogView } from "./log-view";

const ICONS = {
  started: <LoaderCircle size={15} className="spin" color="var(--amika-busy)" aria-label="running" />,
  succeeded: <Check size={15} color="var(--amika-good)" aria-label="done" />,
  failed: <X size={15} color="var(--amika-bad)" aria-label="failed" />,
  warning: <TriangleAlert size={15} color="var(--amika-busy)" aria-label="warning" />,
};

function icon(status: string) {
  return ICONS[status as keyof typeof ICONS] ?? <CircleDashed size={15} aria-label={status} />;
}

const FEW = 8;

export function Progress({ sandbox: it, live }: { sandbox: Sandbox; live: boolean }) {
  const { data, error } = useQuery(steps(it.id));
  const [all, setAll] = useState(false);
  const shown = merged(data ?? []).reverse();
  const list = live ? shown.slice(0, 20).reverse() : shown.slice(0, all ? undefined : FEW);
  const setup = live && (it.setup_status === "setup-running" || it.setup_status === "setup-failed");
  return (
    <Card
      title={live ? "Progress" : "Events"}
      aside={
        live && it.state === "initializing" && it.operation_id != null ? (
          <Button size="xs" variant="default" onClick={() => void cancel(it.operation_id ?? "")}>
            Cancel
          </Button>
        ) : undefined
      }
      flush
    >
      <div style={{ padding: "8px 14px" }} aria-live={live ? "polite" : undefined}>
        {error !== null && <Problem error={error} />}
        {data?.length === 0 && <Empty title="Nothing was done to it here" />}
        <ol className="steps">
          {list.map((step) => (
            <Step key={step.id} step={step} />
          ))}
        </ol>
        {!live && shown.length > FEW && (
          <Button size="xs" variant="subtle" color="gray" c="dimmed" onClick={() => setAll(!all)}>
            {all ? "Fewer" : `All ${shown.length}`}
          </Button>
        )}
      </div>
      {setup && <LogView id={it.id} source="setup" follow height={260} label="Output of setup" />}
    </Card>
  );
}

function Step({ step }: { step: LifecycleEvent }) {
  const title = step.step === step.run_kind ? step.run_kind : `${step.run_kind}: ${step.step.replaceAll("_", " ")}`;
  return (
    <li>
      {icon(step.status)}
      <span>
        {title}
        {step.detail != null && <span className="dim"> {step.detail}</span>}
      </span>
      <span className="dim">
        <Ago at={step.created_at} />
      </span>
    </li>
  );
}
