/** One sandbox: what all its tabs have. */
import { Button, Loader } from "@mantine/core";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { Play, Square } from "lucide-react";
import { useEffect, useRef } from "react";

import type { Sandbox } from "../../api/types";
import { isTyping } from "../../shell/keys";
import { Page, State, useTitle } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import { start, stop } from "../actions";
import { More } from "../more";
import { SandboxContext, useAddressed } from "./context";
import { OpenCode } from "./opencode";

const TABS = [
  ["Overview", ""],
  ["Terminal", "/terminal"],
  ["Logs", "/logs"],
  ["Agent", "/agent"],
  ["Changes", "/changes"],
  ["Usage", "/usage"],
] as const;

export function SandboxPage(): React.ReactNode {
  const { ref, all, found } = useAddressed();
  // One that is gone is shown as it was last, with a word that it is gone.
  const last = useRef<Sandbox | undefined>(undefined);
  useEffect(() => {
    if (found) last.current = found;
  }, [found]);
  useTitle(found?.name ?? "Sandbox");
  useTabKeys(ref);
  if (all.error !== null && all.data === undefined) {
    return (
      <Page title="Sandbox">
        <Problem error={all.error} retry={() => void all.refetch()} />
      </Page>
    );
  }
  if (all.data === undefined) {
    return (
      <Page title="Sandbox">
        <Loader size="sm" aria-label="Loading" />
      </Page>
    );
  }
  if (!found) return <Gone name={ref} />;
  return (
    <Page title={found.name} actions={<Actions sandbox={found} />}>
      <div style={{ margin: "-10px 0 10px" }}>
        <State sandbox={found} />
      </div>
      <nav className="tabs" aria-label="Parts of the sandbox">
        {TABS.map(([label, path]) => (
          <Link key={label} to={`/sandboxes/${ref}${path}`} activeOptions={{ exact: true }}>
            {label}
          </Link>
        ))}
      </nav>
      <SandboxContext value={found}>
        <Outlet />
      </SandboxContext>
    </Page>
  );
}

function Gone({ name }: { name: string }) {
  return (
    <Page title="The sandbox is gone">
      <p>
        There is no sandbox <q>{name}</q>: it was deleted, or is not yours. <Link to="/">All sandboxes</Link>
      </p>
    </Page>
  );
}

function Actions({ sandbox: it }: { sandbox: Sandbox }) {
  const rests = it.state === "stopped" || it.state === "failed";
  return (
    <>
      {it.state === "started" && <OpenCode sandbox={it} />}
      {rests ? (
        <Button leftSection={<Play size={15} />} onClick={() => void start(it)}>
          Start
        </Button>
      ) : (
        <Button
          variant="default"
          leftSection={<Square size={14} />}
          disabled={it.state !== "started" && it.state !== "initializing"}
          onClick={() => void stop(it)}
        >
          Stop
        </Button>
      )}
      <More sandbox={it} />
    </>
  );
}

/** `1` to `6`. */
function useTabKeys(ref: string) {
  const navigate = useNavigate();
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const tab = TABS[Number(event.key) - 1];
      if (tab) void navigate({ to: `/sandboxes/${ref}${tab[1]}` });
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [navigate, ref]);
}
