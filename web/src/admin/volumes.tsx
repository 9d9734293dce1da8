/** Volumes: what was kept of sandboxes that are gone, and what is in use. */
import { Button, Checkbox, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, ask } from "../api/client";
import { client, volumes } from "../api/queries";
import type { Schemas } from "../api/types";
import { count, shortUrl } from "../lib/words";
import { Ago } from "../ui/ago";
import { Card, Empty } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { done } from "../ui/notify";
import { Problem } from "../ui/problem";

const again = () => client.invalidateQueries({ queryKey: ["volumes"] });
const KINDS: Record<string, string> = { git: "clone", home: "home", state: "state", mount: "copy of a mount" };

export function Volumes(): React.ReactNode {
  const all = useQuery(volumes);
  const [usedToo, setUsedToo] = useState(false);
  const [asks, setAsks] = useState<"prune" | Schemas["Volume"] | null>(null);
  const left = (all.data ?? []).filter((it) => it.used_by.length === 0);
  const shown = usedToo ? (all.data ?? []) : left;
  return (
    <Card
      title="Volumes"
      flush
      aside={
        <div style={{ display: "flex", gap: 12, alignItems: "center" }}>
          <Checkbox size="xs" label="In use too" checked={usedToo} onChange={(event) => setUsedToo(event.currentTarget.checked)} />
          <Button size="xs" variant="default" disabled={left.length === 0} onClick={() => setAsks("prune")}>
            Prune…
          </Button>
        </div>
      }
    >
      {all.error !== null && <Problem error={all.error} />}
      {all.data !== undefined && shown.length === 0 && <Empty title="Nothing is left over">What a deleted sandbox had to keep, because it is nowhere else, is listed here.</Empty>}
      {shown.length > 0 && (
        <table className="rows blocks">
          <thead>
            <tr>
              <th scope="col">Volume</th>
              <th scope="col">What</th>
              <th scope="col">Of</th>
              <th scope="col">Made</th>
              <th scope="col" className="end">
                Actions
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((it) => (
              <tr key={it.name}>
                <td className="mono">{it.name}</td>
                <td>
                  {KINDS[it.kind] ?? it.kind}
                  {it.repository != null && <div className="dim">{shortUrl(it.repository)}</div>}
                </td>
                <td>{it.sandbox ?? it.made_for ?? "–"}</td>
                <td data-label="Made">
                  <Ago at={it.created_at} />
                </td>
                <td className="end">
                  {it.used_by.length > 0 ? (
                    <span className="dim">in use</span>
                  ) : (
                    <Button size="xs" variant="default" aria-label={`Remove ${it.name}`} onClick={() => setAsks(it)}>
                      Remove
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {asks === "prune" && (
        <Confirm
          title="Prune volumes?"
          action="Prune"
          onClose={() => setAsks(null)}
          run={async () => {
            const pruned = await ask(api.POST("/api/v0beta1/volumes/prune", { body: { force: false, dry_run: false } }));
            await again();
            done(`${count(pruned.removed.length, "volume")} removed, ${count(pruned.kept.length, "volume")} with work kept`);
          }}
        >
          <Text size="sm">Volumes that no sandbox uses and that hold no work are removed; those with work stay.</Text>
        </Confirm>
      )}
      {asks !== null && asks !== "prune" && (
        <Confirm
          title="Remove the volume?"
          action="Remove"
          onClose={() => setAsks(null)}
          run={async () => {
            await ask(api.DELETE("/api/v0beta1/volumes/{name}", { params: { path: { name: asks.name } } }));
            await again();
          }}
        >
          {asks.name} and the work in it are gone for good.
        </Confirm>
      )}
    </Card>
  );
}
