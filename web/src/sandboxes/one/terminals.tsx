/** Several terminals of a sandbox. Each stays in the sandbox when nobody looks, and is found again by its name. */
import { ActionIcon, Button, Group, Loader, Tooltip } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { Plus, X } from "lucide-react";
import { lazy, Suspense, useState } from "react";

import { Empty } from "../../ui/basics";
import { start } from "../actions";
import { useSandbox } from "./context";

const Terminal = lazy(() => import("./terminal"));

export function Terminals(): React.ReactNode {
  const it = useSandbox();
  const [names, setNames] = useLocalStorage<string[]>({ key: `amika.terminals.${it.id}`, defaultValue: ["page-1"], getInitialValueInEffect: false });
  const [open, setOpen] = useState(names[0] ?? "page-1");
  const shown = names.includes(open) ? open : (names[0] ?? "page-1");
  if (it.state !== "started") {
    return (
      <div className="card">
        <Empty title="The sandbox does not run">
          {(it.state === "stopped" || it.state === "failed") && (
            <Button size="xs" variant="default" onClick={() => void start(it)}>
              Start it
            </Button>
          )}
        </Empty>
      </div>
    );
  }
  const add = () => {
    const number = 1 + Math.max(0, ...names.map((name) => Number(name.slice("page-".length))));
    setNames([...names, `page-${number}`]);
    setOpen(`page-${number}`);
  };
  const close = (name: string) => setNames(names.length === 1 ? names : names.filter((other) => other !== name));
  return (
    <>
      <Group gap={4} mb="xs">
        {names.map((name) => (
          <Button.Group key={name}>
            <Button size="xs" variant={name === shown ? "filled" : "default"} aria-pressed={name === shown} onClick={() => setOpen(name)}>
              {name.replace("page-", "Terminal ")}
            </Button>
          </Button.Group>
        ))}
        {names.length > 1 && (
          <Tooltip label="Its shell is ended">
            <ActionIcon variant="subtle" color="gray" aria-label={`Close ${shown.replace("page-", "terminal ")}`} onClick={() => close(shown)}>
              <X size={15} />
            </ActionIcon>
          </Tooltip>
        )}
        <ActionIcon variant="subtle" color="gray" aria-label="New terminal" onClick={add}>
          <Plus size={16} />
        </ActionIcon>
        <span className="dim wide-only" style={{ marginInlineStart: "auto" }}>
          <kbd>Ctrl</kbd> <kbd>Shift</kbd> <kbd>Escape</kbd> leaves it
        </span>
      </Group>
      <Suspense fallback={<Loader size="sm" aria-label="Loading" />}>
        <Terminal key={`${it.id}${shown}`} id={it.id} session={shown} label={shown.replace("page-", "Terminal ")} />
      </Suspense>
    </>
  );
}
