/** Repositories with saved settings, and those that sandboxes were made of. */
import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useState } from "react";

import { api, ask } from "../api/client";
import { client, me, repositories, sandboxes } from "../api/queries";
import type { Repository } from "../api/types";
import { count, shortUrl } from "../lib/words";
import { Ago } from "../ui/ago";
import { Empty, Page, useTitle } from "../ui/basics";
import { FormModal } from "../ui/form-modal";
import { Problem } from "../ui/problem";

export function RepositoryList(): React.ReactNode {
  useTitle("Repositories");
  const all = useQuery(repositories);
  const boxes = useQuery(sandboxes);
  const who = useQuery(me);
  const [adding, setAdding] = useState<string | null>(null);
  const isAdmin = who.data?.role === "admin";
  const saved = new Set((all.data ?? []).map((it) => shortUrl(it.repo_url)));
  const used = new Map<string, number>();
  for (const box of boxes.data ?? []) if (box.repo_url != null) used.set(box.repo_url, (used.get(box.repo_url) ?? 0) + 1);
  const others = [...used.keys()].filter((url) => !saved.has(shortUrl(url)));
  const inUse = (url: string) => [...used].filter(([other]) => shortUrl(other) === shortUrl(url)).reduce((sum, [, number]) => sum + number, 0);
  return (
    <Page
      title="Repositories"
      actions={
        isAdmin && (
          <Button leftSection={<Plus size={16} />} onClick={() => setAdding("")}>
            Add repository
          </Button>
        )
      }
    >
      {all.error !== null && <Problem error={all.error} retry={() => void all.refetch()} />}
      {all.data !== undefined && (
        <section className="card" aria-label="Repositories">
          {all.data.length + others.length === 0 ? (
            <Empty title="No repository yet">
              Settings that are saved for a repository hold for each sandbox that is made of it, over its file .amika/config.toml.
              {!isAdmin && " Administrators save them."}
            </Empty>
          ) : (
            <table className="rows blocks">
              <thead>
                <tr>
                  <th scope="col">Repository</th>
                  <th scope="col">Saved</th>
                  <th scope="col">Sandboxes</th>
                  <th scope="col">Changed</th>
                </tr>
              </thead>
              <tbody>
                {all.data.map((it) => (
                  <tr key={it.id}>
                    <td>
                      <Link to="/repositories/$id" params={{ id: it.id }}>
                        <b>{shortUrl(it.repo_url)}</b>
                      </Link>
                      <span className="dim clip">{it.repo_url}</span>
                    </td>
                    <td>{settings(it)}</td>
                    <td>{count(inUse(it.repo_url), "sandbox", "sandboxes")}</td>
                    <td data-label="Changed">
                      <Ago at={it.updated_at} />
                    </td>
                  </tr>
                ))}
                {others.map((url) => (
                  <tr key={url}>
                    <td>
                      <b>{shortUrl(url)}</b>
                      <span className="dim clip">{url}</span>
                    </td>
                    <td className="dim">nothing: its file holds</td>
                    <td>{count(used.get(url) ?? 0, "sandbox", "sandboxes")}</td>
                    <td>
                      {isAdmin && (
                        <Button size="xs" variant="default" onClick={() => setAdding(url)}>
                          Save settings
                        </Button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </section>
      )}
      {adding !== null && <Add url={adding} onClose={() => setAdding(null)} />}
    </Page>
  );
}

function settings(it: Repository): string {
  const names = [
    [it.setup_script_text ?? it.setup_script, "setup"],
    [it.start_script, "start script"],
    [it.sandbox_preset, "preset"],
    [it.sandbox_size, "size"],
    [it.env_vars, "variables"],
  ];
  const found = names.filter(([value]) => value != null).map(([, name]) => name as string);
  return found.length === 0 ? "no settings" : found.join(", ");
}

function Add({ url: first, onClose }: { url: string; onClose: () => void }) {
  const [url, setUrl] = useState(first);
  const navigate = useNavigate();
  const run = async () => {
    const made = await ask(api.POST("/api/v0beta1/repositories", { body: { repo_url: url } }));
    await client.invalidateQueries({ queryKey: ["repositories"] });
    await navigate({ to: "/repositories/$id", params: { id: made.id } });
  };
  return (
    <FormModal title="Add a repository" action="Add" onClose={onClose} run={run} fields={["/repo_url"]}>
      {(error) => (
        <TextInput label="URL" description="However it is written: git@host:owner/name and https://host/owner/name are one." placeholder="https://github.com/owner/repository" value={url} error={error("/repo_url")} onChange={(event) => setUrl(event.currentTarget.value)} required data-autofocus />
      )}
    </FormModal>
  );
}
