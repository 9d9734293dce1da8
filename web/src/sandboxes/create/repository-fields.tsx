import { Autocomplete, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";

import { failure, sentence } from "../../api/failure";
import { branches, repositories, sandboxes } from "../../api/queries";
import { Card } from "../../ui/basics";
import type { Fields } from "./page";

export function RepositoryFields({ form, set, error }: Fields) {
  const [url] = useDebouncedValue(form.repo.trim(), 500);
  const isUrl = /^(https?|ssh):\/\/.+\/.+|^[^/@\s]+@[^:\s]+:.+/.test(url);
  const found = useQuery({ ...branches(url), enabled: isUrl });
  const saved = useQuery(repositories);
  const others = useQuery(sandboxes);
  const known = [...new Set([...(saved.data ?? []), ...(others.data ?? [])].map((it) => it.repo_url).filter((it) => it != null))];
  const told = found.error !== null && isUrl ? sentence(failure(found.error).message) : undefined;
  const first = found.data?.default_branch;
  return (
    <Card title="Repository">
      <div className="stack">
        <Autocomplete
          label="URL"
          placeholder="https://github.com/owner/repository"
          description="Empty: a sandbox without a repository"
          data={known}
          value={form.repo}
          onChange={(repo) => set({ repo, branch: "" })}
          error={error("/repo_url") ?? told}
          autoFocus
          openOnFocus={false}
        />
        <div className="pair">
          <Autocomplete
            label="Branch"
            placeholder={first ?? "default branch"}
            data={(found.data?.items ?? []).map((it) => it.name)}
            limit={100}
            value={form.branch}
            onChange={(branch) => set({ branch })}
            error={error("/branch")}
            disabled={form.repo.trim() === ""}
          />
          <TextInput
            label="New branch"
            placeholder="none"
            value={form.newBranch}
            onChange={(event) => set({ newBranch: event.currentTarget.value })}
            error={error("/new_branch_name")}
            disabled={form.repo.trim() === ""}
          />
        </div>
        <TextInput
          label="Name"
          placeholder="a color and a city"
          description="a-z, 0-9 and -; empty: one is made up"
          value={form.name}
          onChange={(event) => set({ name: event.currentTarget.value })}
          error={error("/name")}
        />
      </div>
    </Card>
  );
}
