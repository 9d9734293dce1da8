/** The server, its engine and its disk, with what is wrong. */
import { Button, Loader } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Check, TriangleAlert, X } from "lucide-react";

import { system } from "../api/queries";
import { bytes } from "../lib/bytes";
import { Card, External } from "../ui/basics";
import { Problem } from "../ui/problem";

const ICONS: Record<string, React.ReactNode> = {
  ok: <Check size={15} color="var(--amika-good)" aria-label="good" />,
  warning: <TriangleAlert size={15} color="var(--amika-busy)" aria-label="warning" />,
  failed: <X size={15} color="var(--amika-bad)" aria-label="failed" />,
};

const ORDER: Record<string, number> = { failed: 0, warning: 1, ok: 2 };

export function System(): React.ReactNode {
  const { data, error } = useQuery(system(false));
  const checks = useQuery(system(true));
  const found = [...(checks.data?.checks ?? [])].sort((a, b) => (ORDER[a.result] ?? 3) - (ORDER[b.result] ?? 3));
  return (
    <div className="stack">
      {error !== null && <Problem error={error} />}
      <div className="pair">
        <Card title="Server">
          {data !== undefined && (
            <dl className="facts">
              <dt>Version</dt>
              <dd>{data.version}</dd>
              <dt>Address</dt>
              <dd>{data.address}</dd>
              <dt>Disk</dt>
              <dd>{data.disk == null ? "unknown" : `${bytes(data.disk.free)} free of ${bytes(data.disk.size)}`}</dd>
              <dt>Id</dt>
              <dd className="mono">{data.server_id}</dd>
              <dt>API</dt>
              <dd>
                <External href="/docs">Every route</External>
              </dd>
            </dl>
          )}
        </Card>
        <Card title="Engine">
          {data?.engine == null ? (
            <p style={{ margin: 0, fontSize: 13 }}>{data === undefined ? "…" : "It does not answer."}</p>
          ) : (
            <dl className="facts">
              <dt>Version</dt>
              <dd>
                {data.engine.version}, API {data.engine.api_version}
              </dd>
              <dt>System</dt>
              <dd>
                {data.engine.operating_system}, {data.engine.architecture}
              </dd>
              <dt>Storage</dt>
              <dd>{data.engine.storage_driver}</dd>
              <dt>Has</dt>
              <dd>
                {data.engine.cpus} CPUs, {bytes(data.engine.memory)}
              </dd>
            </dl>
          )}
        </Card>
      </div>
      <Card
        title="Checks"
        aside={
          <Button size="xs" variant="default" loading={checks.isFetching} onClick={() => void checks.refetch()}>
            Check again
          </Button>
        }
      >
        {checks.error !== null && <Problem error={checks.error} />}
        {checks.isPending && <Loader size="sm" aria-label="Checking" />}
        <ul className="steps">
          {found.map((check) => (
            <li key={check.name + check.message}>
              {ICONS[check.result]}
              <span>
                <b>{check.name}</b> <span className="dim">{check.message}</span>
              </span>
            </li>
          ))}
        </ul>
      </Card>
    </div>
  );
}
