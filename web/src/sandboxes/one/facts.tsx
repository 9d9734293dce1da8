import { Link } from "@tanstack/react-router";

import type { Sandbox } from "../../api/types";
import { shortUrl } from "../../lib/words";
import { Ago } from "../../ui/ago";
import { Card, Copy, External } from "../../ui/basics";

export function Facts({ sandbox: it }: { sandbox: Sandbox }) {
  const isLink = it.repo_url != null && /^https:\/\//.test(it.repo_url);
  const given = it.resolved_agent_credentials;
  const rows: [string, React.ReactNode][] = [];
  if (it.repo_url != null) {
    rows.push(["Repository", isLink ? <External href={it.repo_url}>{shortUrl(it.repo_url)}</External> : shortUrl(it.repo_url)]);
    rows.push(["Branch", it.branch ?? "–"]);
    if (it.commit_hash != null) rows.push(["Commit", <span className="mono" key="commit">{it.commit_hash.slice(0, 12)}</span>]);
  }
  if (it.sandbox_preset != null) rows.push(["Preset", it.sandbox_preset]);
  if (it.sandbox_size != null) rows.push(["Size", it.sandbox_size]);
  rows.push(["Made", <span key="made"><Ago at={it.created_at} /> by {it.created_by.name ?? "nobody"}</span>]);
  if (it.secret_names.length > 0) rows.push(["Secrets", it.secret_names.join(", ")]);
  if (given.length > 0) {
    rows.push(["Credentials", given.map((one) => `${one.kind}: ${one.outcome === "resolved" ? (one.name ?? one.type ?? "given") : "none"}`).join(", ")]);
  }
  for (const [key, value] of Object.entries(it.metadata)) rows.push([key, value]);
  rows.push([
    "Id",
    <span key="id" style={{ display: "flex", alignItems: "center", gap: 4, marginBlock: -5 }}>
      <span className="mono clip">{it.id}</span>
      <Copy text={it.id} label="Copy the id" />
    </span>,
  ]);
  return (
    <Card title="Details">
      <dl className="facts">
        {rows.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {it.repo_url != null && (
        <p style={{ margin: "12px 0 0", fontSize: 13 }}>
          <Link to="/new" search={{ repo: it.repo_url }}>
            Another sandbox of this repository
          </Link>
        </p>
      )}
    </Card>
  );
}
