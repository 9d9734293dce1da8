import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { createContext, useContext } from "react";

import { sandboxes } from "../../api/queries";
import type { Sandbox } from "../../api/types";

export const SandboxContext = createContext<Sandbox | null>(null);

/** The sandbox of the page that is open. */
export function useSandbox(): Sandbox {
  const sandbox = useContext(SandboxContext);
  if (sandbox === null) throw new Error("no sandbox is open");
  return sandbox;
}

/** The sandbox of the address: by its id, else by its name. */
export function useAddressed() {
  const { ref } = useParams({ from: "/sandboxes/$ref" });
  const all = useQuery(sandboxes);
  const found = all.data?.find((it) => it.id === ref) ?? all.data?.find((it) => it.name === ref);
  return { ref, all, found };
}
