/** Programs that run without anybody who waits for them. */
import { Button, Group } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, ask } from "../../api/client";
import { client, jobs } from "../../api/queries";
import type { Job, Sandbox } from "../../api/types";
import { Ago } from "../../ui/ago";
import { Card } from "../../ui/basics";
import { failed } from "../../ui/notify";
import { LogModal } from "./log-modal";

/** Nothing at all where there are none. */
export function Jobs({ sandbox: it }: { sandbox: Sandbox }) {
  const all = useQuery({ ...jobs(it.id), enabled: it.state === "started" });
  const [read, setRead] = useState<Job | null>(null);
  const known = it.state === "started" ? (all.data ?? []) : [];
  if (known.length === 0) return null;
  return (
    <Card title="Jobs" flush>
      <table className="rows blocks">
        <thead>
          <tr>
            <th scope="col">Command</th>
            <th scope="col">State</th>
            <th scope="col">Started</th>
            <th scope="col" className="end">
              Log
            </th>
          </tr>
        </thead>
        <tbody>
          {[...known].reverse().map((job) => (
            <tr key={job.id}>
              <td className="mono" style={{ overflowWrap: "anywhere" }}>
                {job.command}
              </td>
              <td>{ended(job)}</td>
              <td>
                <Ago at={job.started_at} />
              </td>
              <td className="end">
                <Group gap={6} justify="flex-end" className="start-narrow">
                  {job.state === "running" && (
                    <Button size="compact-xs" variant="default" aria-label={`End ${job.command}`} onClick={() => void end(it, job)}>
                      End
                    </Button>
                  )}
                  <Button size="compact-xs" variant="default" aria-label={`Log of ${job.command}`} onClick={() => setRead(job)}>
                    Log
                  </Button>
                </Group>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {read !== null && <LogModal sandbox={it} source={`job:${read.id}`} title={`Log of job ${read.id}`} onClose={() => setRead(null)} />}
    </Card>
  );
}

function ended(job: Job): string {
  if (job.state === "running") return "running";
  if (job.signal != null) return `ended by signal ${job.signal}`;
  return `ended (${job.exit_code ?? "?"})`;
}

async function end(it: Sandbox, job: Job) {
  try {
    await ask(api.DELETE("/api/v0beta1/sandboxes/{ref}/jobs/{id}", { params: { path: { ref: it.id, id: job.id } } }));
  } catch (error) {
    failed("The job was not ended", error);
  }
  await client.invalidateQueries({ queryKey: ["jobs", it.id] });
}
