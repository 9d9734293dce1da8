/** What is read from the server, each with its key; streams change what is kept under these keys. */
import { QueryClient, queryOptions } from "@tanstack/react-query";

import { literal, parse } from "../lib/diff";
import { textUpTo } from "../lib/text";
import { api, ask, open } from "./client";
import { failure } from "./failure";
import type { SandboxDiff, Stats, Step } from "./types";

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      retry: (count, error) => failure(error).code === "unreachable" && count < 2,
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

const at = "/api/v0beta1";

export const me = queryOptions({ queryKey: ["me"], queryFn: () => ask(api.GET(`${at}/me`)), staleTime: 300_000 });

/** All that the caller may see; kept up by `GET /events`. */
export const sandboxes = queryOptions({
  queryKey: ["sandboxes"],
  queryFn: async () => {
    const { role } = await client.query({ ...me, staleTime: "static" });
    return ask(api.GET(`${at}/sandboxes`, { params: { query: role === "admin" ? { all: true } : {} } }));
  },
  staleTime: Infinity,
});

export const stats = (ref: string, every: number) =>
  queryOptions({
    queryKey: ["stats", ref],
    // With the signal: what is asked of a sandbox that ends meanwhile is dropped.
    queryFn: async ({ signal }) => (await ask(api.GET(`${at}/sandboxes/{ref}/stats`, { params: { path: { ref } }, signal }))) as Stats,
    refetchInterval: every,
    staleTime: every,
    retry: false,
  });

export const ports = (ref: string) =>
  queryOptions({
    queryKey: ["ports", ref],
    queryFn: async ({ signal }) => (await ask(api.GET(`${at}/sandboxes/{ref}/ports`, { params: { path: { ref } }, signal }))).items,
    refetchInterval: 5_000,
    retry: false,
  });

export const services = (ref: string) =>
  queryOptions({
    queryKey: ["services", ref],
    queryFn: async () => (await ask(api.GET(`${at}/sandboxes/{ref}/services`, { params: { path: { ref } } }))).items,
    // How one stands no event tells.
    refetchInterval: 5_000,
  });

export const jobs = (ref: string) =>
  queryOptions({
    queryKey: ["jobs", ref],
    queryFn: async () => (await ask(api.GET(`${at}/sandboxes/{ref}/jobs`, { params: { path: { ref } } }))).items,
    refetchInterval: 5_000,
    retry: false,
  });

/** The sandbox's own git tells it, and no event that it would be another now: whoever looks asks. */
export const diff = (ref: string) =>
  queryOptions({
    queryKey: ["diff", ref],
    queryFn: async ({ signal }) => (await ask(api.GET(`${at}/sandboxes/{ref}/diff`, { params: { path: { ref } }, signal }))) as SandboxDiff,
    staleTime: 0,
    retry: false,
  });

/** Characters that are read of what git prints of one file. */
const MOST_TEXT = 2 ** 20;

export const diffText = (ref: string, path: string, old: string | null) =>
  queryOptions({
    queryKey: ["diff", ref, "file", path, old],
    queryFn: async ({ signal }) => {
      const query = new URLSearchParams({ form: "text", paths: literal([old, path]) });
      const answer = await open(`/sandboxes/${encodeURIComponent(ref)}/diff?${query.toString()}`, { signal });
      const { text, cut } = await textUpTo(answer, MOST_TEXT);
      return parse(text, cut);
    },
    staleTime: 0,
    gcTime: 0,
    retry: false,
  });

/** Kept up by the event `step`. */
export const steps = (ref: string) =>
  queryOptions({
    queryKey: ["steps", ref],
    queryFn: async () =>
      (await ask(api.GET(`${at}/sandboxes/{ref}/lifecycle-events`, { params: { path: { ref } } }))).events as Step[],
  });

export const agentSessions = (ref: string) =>
  queryOptions({
    queryKey: ["agent-sessions", ref],
    queryFn: async () =>
      (
        await ask(
          api.GET(`${at}/sandboxes/{ref}/sessions`, { params: { path: { ref }, query: { limit: 100 } } }),
        )
      ).sessions,
  });

export const conversation = (id: string) =>
  queryOptions({
    queryKey: ["conversation", id],
    queryFn: () => ask(api.GET(`${at}/agent-sessions/{id}`, { params: { path: { id } } })),
  });

export const repositories = queryOptions({
  queryKey: ["repositories"],
  queryFn: () => ask(api.GET(`${at}/repositories`, {})),
});

export const repositoryServices = (id: string) =>
  queryOptions({
    queryKey: ["repositories", id, "services"],
    queryFn: () => ask(api.GET(`${at}/repositories/{id}/services`, { params: { path: { id } } })),
  });

export const fileServices = (id: string, branch: string | null) =>
  queryOptions({
    queryKey: ["repositories", id, "file", branch],
    queryFn: () =>
      ask(
        api.GET(`${at}/repositories/{id}/services/file`, {
          params: { path: { id }, query: branch === null ? {} : { branch } },
        }),
      ),
    staleTime: 60_000,
  });

export const branches = (url: string) =>
  queryOptions({
    queryKey: ["branches", url],
    queryFn: () => ask(api.GET(`${at}/repositories/branches`, { params: { query: { repo_url: url } } })),
    staleTime: 60_000,
  });

export const secrets = queryOptions({ queryKey: ["secrets"], queryFn: () => ask(api.GET(`${at}/secrets`, {})) });

export const KINDS = ["claude", "codex", "github", "opencode-auth"] as const;
export type CredentialKind = (typeof KINDS)[number];

export const credentials = queryOptions({
  queryKey: ["credentials"],
  queryFn: async () => {
    const lists = await Promise.all(KINDS.map((kind) => ask(api.GET(`${at}/secrets/${kind}`, {}))));
    return lists.flatMap((list, index) => list.map((it) => ({ ...it, kind: KINDS[index] as CredentialKind })));
  },
});

export const gitSignIns = queryOptions({
  queryKey: ["git-sign-ins"],
  queryFn: () => ask(api.GET(`${at}/secrets/git`, {})),
});

export const gitUser = queryOptions({
  queryKey: ["git-user"],
  queryFn: () => ask(api.GET(`${at}/git-user-settings`, {})),
});

export const apiKeys = queryOptions({
  queryKey: ["api-keys"],
  queryFn: async () => (await ask(api.GET(`${at}/api-keys`, { params: { query: { limit: 1000 } } }))).data,
});

export const users = queryOptions({ queryKey: ["users"], queryFn: () => ask(api.GET(`${at}/users`, {})) });

export const system = (checks: boolean) =>
  queryOptions({
    queryKey: ["system", checks],
    queryFn: () => ask(api.GET(`${at}/system`, { params: { query: { checks } } })),
    staleTime: checks ? 60_000 : 300_000,
  });

export const volumes = queryOptions({ queryKey: ["volumes"], queryFn: () => ask(api.GET(`${at}/volumes`, {})) });
