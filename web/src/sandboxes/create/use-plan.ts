/** What the server would make of a request, asked for once typing rests. */
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { api, ask } from "../../api/client";
import type { CreateSandbox } from "../../api/types";

type Origin = "request" | "saved" | "file" | "default";

/** `POST /sandboxes:plan`, as far as it is shown. */
export interface PlanView {
  image: string;
  setup_script: string | null;
  env: string[];
  services: string[];
  limits: { cpus: number | null; memory_bytes: number | null; pids: number | null };
  ports: string[];
  origins: {
    image?: Origin;
    setup_script?: Origin;
    services?: Origin;
    env?: Record<string, Origin>;
    limits?: Record<string, Origin>;
  };
}

export function usePlan(body: CreateSandbox) {
  const text = JSON.stringify(body);
  const [settled] = useDebouncedValue(text, 500);
  const query = useQuery({
    queryKey: ["plan", settled],
    queryFn: async ({ signal }) => (await ask(api.POST("/api/v0beta1/sandboxes:plan", { body: JSON.parse(settled) as CreateSandbox, signal }))) as PlanView,
    staleTime: 30_000,
    gcTime: 60_000,
    placeholderData: keepPreviousData,
  });
  return {
    data: query.data,
    // What was wrong with what was typed before is not said of what is typed now.
    error: settled === text ? query.error : null,
    isOld: query.isFetching || settled !== text,
  };
}
