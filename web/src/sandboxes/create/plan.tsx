import { Badge, Loader, Text } from "@mantine/core";

import { bytes } from "../../lib/bytes";
import { Card } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import type { PlanView } from "./use-plan";

const WORDS: Record<string, string> = { request: "asked for here", saved: "saved for the repository", file: "file of the repository", default: "default" };

export function Plan({ plan, problem }: { plan: { data: PlanView | undefined; isOld: boolean }; problem: unknown }) {
  const { data } = plan;
  return (
    <Card title="What would be made" aside={plan.isOld && <Loader size={14} aria-label="Asking the server" />}>
      {problem !== null && <Problem error={problem} />}
      {data !== undefined && problem === null && (
        <dl className="facts" style={{ gridTemplateColumns: "max-content minmax(0, 1fr)", opacity: plan.isOld ? 0.75 : 1 }}>
          <Value name="Image" value={data.image} origin={data.origins.image} />
          <Value name="CPUs" value={data.limits.cpus === null ? "no limit" : String(data.limits.cpus)} origin={data.origins.limits?.cpus} />
          <Value name="Memory" value={data.limits.memory_bytes === null ? "no limit" : bytes(data.limits.memory_bytes)} origin={data.origins.limits?.memory} />
          <Value name="Setup" value={data.setup_script === null ? "none" : "a script"} origin={data.origins.setup_script} />
          <Value name="Services" value={data.services.join(", ") || "none"} origin={data.origins.services} />
          {Object.entries(data.origins.env ?? {}).map(([name, origin]) => (
            <Value key={name} name="Variable" value={name} origin={origin} />
          ))}
        </dl>
      )}
      {data === undefined && problem === null && (
        <Text size="sm" c="dimmed">
          The server is asked…
        </Text>
      )}
    </Card>
  );
}

function Value({ name, value, origin }: { name: string; value: string; origin: string | undefined }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>
        {value}{" "}
        {origin !== undefined && (
          <Badge variant="outline" size="xs" tt="none" fw={400} c="dimmed" color="gray" bd="1px solid var(--amika-line)">
            {WORDS[origin] ?? origin}
          </Badge>
        )}
      </dd>
    </>
  );
}
