/** What is saved for one repository, beside what its file says. */
import { Autocomplete, Button, Loader } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";

import { api, ask } from "../api/client";
import { branches, client, me, repositories } from "../api/queries";
import { shortUrl } from "../lib/words";
import { Page, useTitle } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { Problem } from "../ui/problem";
import { ServicesCard } from "./services";
import { SettingsCard } from "./settings";

export function RepositoryPage(): React.ReactNode {
  const { id } = useParams({ from: "/repositories/$id" });
  const all = useQuery(repositories);
  const who = useQuery(me);
  const found = all.data?.find((it) => it.id === id);
  const [branch, setBranch] = useState("");
  const [forgets, setForgets] = useState(false);
  const there = useQuery({ ...branches(found?.repo_url ?? ""), enabled: found !== undefined });
  const navigate = useNavigate();
  useTitle(found === undefined ? "Repository" : shortUrl(found.repo_url));
  if (all.error !== null && all.data === undefined) {
    return (
      <Page title="Repository">
        <Problem error={all.error} retry={() => void all.refetch()} />
      </Page>
    );
  }
  if (all.data === undefined) {
    return (
      <Page title="Repository">
        <Loader size="sm" aria-label="Loading" />
      </Page>
    );
  }
  if (!found) {
    return (
      <Page title="Nothing is saved for it">
        <p>
          What was saved for this repository is gone. <Link to="/repositories">All repositories</Link>
        </p>
      </Page>
    );
  }
  const isAdmin = who.data?.role === "admin";
  const forget = async () => {
    await ask(api.DELETE("/api/v0beta1/repositories/{id}", { params: { path: { id } } }));
    await navigate({ to: "/repositories" });
    await client.invalidateQueries({ queryKey: ["repositories"] });
  };
  return (
    <Page
      title={shortUrl(found.repo_url)}
      actions={
        <>
          {isAdmin && (
            <Button variant="default" onClick={() => setForgets(true)}>
              Forget…
            </Button>
          )}
          <Button component={Link} to={`/new?repo=${encodeURIComponent(found.repo_url)}`}>
            New sandbox
          </Button>
        </>
      }
    >
      <p className="dim" style={{ margin: "-10px 0 14px" }}>
        {found.repo_url}
      </p>
      <div className="stack">
        <div className="card">
          <div className="body">
            <Autocomplete
              label="Branch whose file is shown"
              placeholder={there.data?.default_branch ?? "default branch"}
              description="Settings are saved for the repository, whatever the branch; the file is each branch's own."
              data={(there.data?.items ?? []).map((it) => it.name)}
              limit={100}
              value={branch}
              onChange={setBranch}
              maw={420}
            />
          </div>
        </div>
        <ServicesCard repository={found} branch={branch} isAdmin={isAdmin} />
        <SettingsCard key={found.updated_at} repository={found} branch={branch} isAdmin={isAdmin} />
      </div>
      {forgets && (
        <Confirm title={`Forget what is saved for ${shortUrl(found.repo_url)}?`} action="Forget" onClose={() => setForgets(false)} run={forget}>
          Its settings and services are removed here. Sandboxes stay as they are; new ones are made as the repository's file says.
        </Confirm>
      )}
    </Page>
  );
}
